"""The median of 5 x 5 pixels, sixteen of them at a time, without a single branch.

Each column of five is sorted once and serves the five windows that it lies in. From five sorted
columns a network of compare-exchanges finds the median; most of its comparators leave one output
that nobody reads, so it costs 84 minimum and maximum operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numba import njit
from numba.core import types
from numba.extending import intrinsic

from flow.tvl1.cpu.simd import LANES, exchange, lanes, load, load_at, store, store_at

if TYPE_CHECKING:
    from llvmlite.ir import IRBuilder, Value
    from numba.core.cpu import CPUContext
    from numba.core.types import Type
    from numba.core.typing import Context as TypingContext
    from numba.core.typing import Signature

SIDE = 5
SORT_COLUMN = ((0, 1), (3, 4), (2, 4), (2, 3), (1, 4), (0, 3), (0, 2), (1, 3), (1, 2))
"""Sorts five wires; (i, j) leaves the smaller on wire i."""

_TEXT = """
11:14 15:18 7:9 3:4 12:13 5:6 11:13 1:2 10:12 17:19 12:14 6:9 9:18 15:16 6:8 0:4 15:17 2:4
16:19 5:7 2:1 12:13 7:8 4:12 0:15 10:11 22:20 24:22 6:1 23:24 21:23 17:16 16:20 8:24 9:13
3:15 22:23 17:9 7:15 8:17 17:22 11:12 8:4 1:15 11:4 14:17 14:9 4:21 16:14 16:15 12:21 15:12
15:4 4:16
"""
MIDDLE_OF_COLUMNS = tuple(
    (int(low), int(high)) for low, high in (pair.split(":") for pair in _TEXT.split())
)
"""Wire 5 r + c starts with the r-th smallest of column c; the median ends on wire 16.

Found by random search from a sorting network, keeping what is right for all 6^5 ways in which
five sorted columns of zeros and ones can look; by the zero-one principle it is then right for
any numbers, and the tests go through the 6^5 again.
"""
MIDDLE = 16
EDGE = 16
"""Floats kept free on either side of a row of sorted columns."""


@intrinsic
def _sort_columns(
    typing_context: TypingContext, array: Type, rows: Type, out: Type, at: Type, by: Type
) -> Any:
    """Sort down 16 columns whose five rows begin at the indices `rows`; to out[at + r * by]."""

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        array, rows, out, at, by = args
        wires = [
            load_at(context, builder, sig.args[0], array, builder.extract_value(rows, r), 0)
            for r in range(SIDE)
        ]
        exchange(builder, wires, SORT_COLUMN)
        for wire in wires:
            store_at(context, builder, sig.args[2], out, at, wire)
            at = builder.add(at, by)
        return context.get_dummy_value()

    return types.void(array, rows, out, types.intp, types.intp), generate


@intrinsic
def _middle(typing_context: TypingContext, array: Type, at: Type, by: Type) -> Any:
    """The medians of 16 windows: the five sorted columns around array[at + r * by + lane]."""

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        array, at, by = args
        wires = []
        for _ in range(SIDE):
            wires += [
                load_at(context, builder, sig.args[0], array, at, column - SIDE // 2)
                for column in range(SIDE)
            ]
            at = builder.add(at, by)
        exchange(builder, wires, MIDDLE_OF_COLUMNS)
        return wires[MIDDLE]

    return lanes(array, types.intp, types.intp), generate


@njit(nogil=True, error_model="numpy")
def median_5x5(m, image, scratch):  # type: ignore[no-untyped-def]
    """Filter an image in place; borders repeat.

    `scratch` is the index of 8 rows of (width rounded up to 16) + 32 floats that may be used.
    A filtered row is kept aside until no window needs the row that it replaces.
    """
    plane, pitch, height, width = image
    padded = (width + LANES - 1) // LANES * LANES
    by = padded + 2 * EDGE
    columns = scratch + EDGE
    filtered = columns + SIDE * by
    last = height - 1
    for y in range(height + 2):
        if y < height:
            rows = (
                plane + max(y - 2, 0) * pitch,
                plane + max(y - 1, 0) * pitch,
                plane + y * pitch,
                plane + min(y + 1, last) * pitch,
                plane + min(y + 2, last) * pitch,
            )
            for x in range(0, width, LANES):
                at = (rows[0] + x, rows[1] + x, rows[2] + x, rows[3] + x, rows[4] + x)
                _sort_columns(m, at, m, columns + x, by)
            for r in range(SIDE):
                row = columns + r * by
                m[row - 2] = m[row - 1] = m[row]
                m[row + width] = m[row + width + 1] = m[row + width - 1]
            aside = filtered + y % 3 * by
            for x in range(0, width, LANES):
                store(m, aside + x, _middle(m, columns + x, by))
        if y >= 2:
            aside = filtered + (y - 2) % 3 * by
            for x in range(0, width, LANES):
                store(m, plane + (y - 2) * pitch + x, load(m, aside + x))
