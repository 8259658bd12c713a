"""Sixteen float32 at once, as a value that compiled code can compute with.

The loops of TV-L1 touch so many arrays that LLVM's automatic vectoriser gives up on them (it
would need a run-time check for every pair that might overlap). So the kernels say what they
mean: `load` gives a `Lanes` value, `+ - * /` and the functions below work on all sixteen lanes,
`store` writes it. LLVM maps it to one AVX-512 register, two of AVX, or four of SSE or NEON.

Arithmetic may contract to fused multiply-adds and may divide through a refined reciprocal;
nothing is reordered, so a result does not depend on anything but the machine.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

if TYPE_CHECKING:
    from llvmlite.ir import IRBuilder, Value
    from llvmlite.ir import Type as IRType
    from numba.core.cpu import CPUContext
    from numba.core.datamodel import DataModelManager
    from numba.core.types import Literal, Type
    from numba.core.typing import Context as TypingContext
    from numba.core.typing import Signature

LANES = 16

_FLAGS = ("nnan", "ninf", "nsz", "contract", "arcp")
_I32 = ir.IntType(32)
_F32 = ir.FloatType()
_VECTOR = ir.VectorType(_F32, LANES)
_QUAD = ir.VectorType(_F32, 4)


class LanesType(types.Type):
    """The Numba type of sixteen float32."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


lanes = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: DataModelManager, fe_type: Type) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


def _register_operator(function: Callable[..., object], instruction: str) -> None:
    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args: Sequence[Type], kws: dict[str, Type]) -> Any:
            return signature(lanes, lanes, lanes) if args == (lanes, lanes) else None

    @lower_builtin(function, lanes, lanes)
    def _lower(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        return getattr(builder, instruction)(*args, flags=_FLAGS)


for _symbol, _instruction in (
    ("add", "fadd"),
    ("sub", "fsub"),
    ("mul", "fmul"),
    ("truediv", "fdiv"),
):
    _register_operator(getattr(operator, _symbol), _instruction)
    _register_operator(getattr(operator, f"i{_symbol}"), _instruction)


def _call(name: str, arguments: int) -> Any:
    """What an intrinsic returns that is LLVM's function `name` of so many lanes values."""

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * arguments)
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
        return builder.call(function, args, fastmath=_FLAGS)

    return signature(lanes, *[lanes] * arguments), generate


@intrinsic
def square_root(typing_context: TypingContext, value: Type) -> Any:
    """The square root of each lane."""
    return _call("sqrt", 1)


@intrinsic
def floor(typing_context: TypingContext, value: Type) -> Any:
    """The largest whole number not over each lane."""
    return _call("floor", 1)


@intrinsic
def minimum(typing_context: TypingContext, a: Type, b: Type) -> Any:
    """The smaller of two, lane by lane."""
    return _call("minnum", 2)


@intrinsic
def maximum(typing_context: TypingContext, a: Type, b: Type) -> Any:
    """The larger of two, lane by lane."""
    return _call("maxnum", 2)


def _splat(builder: IRBuilder, scalar: Value, kind: IRType = _VECTOR) -> Any:
    empty = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(empty, scalar, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count)
    return builder.shuffle_vector(one, empty, zeros)


def _pick(builder: IRBuilder, a: Value, b: Value, order: Sequence[int]) -> Any:
    """The lanes of a, then those of b, in this order."""
    mask = ir.Constant(ir.VectorType(_I32, len(order)), list(order))
    return builder.shuffle_vector(a, b, mask)


def _address(
    context: CPUContext, builder: IRBuilder, array_type: Type, array: Value, index: Value
) -> Any:
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
    return builder.gep(data, [index])


def _load(builder: IRBuilder, address: Value, kind: IRType = _VECTOR) -> Any:
    return builder.load(builder.bitcast(address, kind.as_pointer()), align=4)


def _store(builder: IRBuilder, value: Value, address: Value) -> None:
    builder.store(value, builder.bitcast(address, value.type.as_pointer()), align=4)


@intrinsic
def splat(typing_context: TypingContext, scalar: Type) -> Any:
    """Sixteen times the same float32."""

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        return _splat(builder, args[0])

    return lanes(types.float32), generate


@intrinsic
def load(typing_context: TypingContext, array: Type, index: Type) -> Any:
    """array[index : index + 16] of a flat float32 array; unchecked."""

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        return _load(builder, _address(context, builder, sig.args[0], *args))

    return lanes(array, types.intp), generate


@intrinsic
def store(typing_context: TypingContext, array: Type, index: Type, value: Type) -> Any:
    """array[index : index + 16] = value; unchecked."""

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        _store(builder, args[2], _address(context, builder, sig.args[0], *args[:2]))
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@intrinsic
def after_last(typing_context: TypingContext, before: Type, here: Type) -> Any:
    """The lane before each of `here`: the last of `before`, then the first fifteen of `here`."""

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        return _pick(builder, args[0], args[1], range(LANES - 1, 2 * LANES - 1))

    return lanes(lanes, lanes), generate


@intrinsic
def until_first(typing_context: TypingContext, here: Type, beyond: Type) -> Any:
    """The lane after each of `here`: its last fifteen, then the first of `beyond`."""

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        return _pick(builder, args[0], args[1], range(1, LANES + 1))

    return lanes(lanes, lanes), generate


@intrinsic
def lane_sum(typing_context: TypingContext, value: Type) -> Any:
    """The sum of all lanes, as float32."""

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(_F32, [_F32, _VECTOR]),
            f"llvm.vector.reduce.fadd.v{LANES}f32",
        )
        return builder.call(function, [ir.Constant(_F32, 0.0), args[0]], fastmath=("fast",))

    return types.float32(lanes), generate


@intrinsic
def store_whole(typing_context: TypingContext, array: Type, index: Type, value: Type) -> Any:
    """array[index : index + 16] = the lanes as int32; they must be whole numbers."""

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        whole = builder.fptosi(args[2], ir.VectorType(_I32, LANES))
        _store(builder, whole, _address(context, builder, sig.args[0], *args[:2]))
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@intrinsic
def store_quads(
    typing_context: TypingContext, array: Type, index: Type, a: Type, b: Type, c: Type
) -> Any:
    """Sixteen pixels of four floats each, (a, b, c, 0), from array[index] on."""

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        array, index, a, b, c = args
        pairs = _pick(builder, a, b, range(2 * LANES))
        rest = _pick(builder, c, ir.Constant(_VECTOR, [0.0] * LANES), range(2 * LANES))
        for first in range(0, LANES, 4):
            order = [lane + plane * LANES for lane in range(first, first + 4) for plane in range(4)]
            place = builder.add(index, ir.Constant(index.type, first * 4))
            _store(
                builder,
                _pick(builder, pairs, rest, order),
                _address(context, builder, sig.args[0], array, place),
            )
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes, lanes, lanes), generate


@intrinsic(prefer_literal=True)
def load_plane_of_quads(
    typing_context: TypingContext, array: Type, index: Type, plane: Literal
) -> Any:
    """Plane 0, 1 or 2 (a literal) of sixteen pixels that lie as quads from array[index] on."""
    which = plane.literal_value

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        array, index, _ = args
        parts = []
        for part in range(4):
            place = builder.add(index, ir.Constant(index.type, part * LANES))
            parts.append(_load(builder, _address(context, builder, sig.args[0], array, place)))
        every_fourth = range(which, 2 * LANES, 4)
        low = _pick(builder, parts[0], parts[1], every_fourth)
        high = _pick(builder, parts[2], parts[3], every_fourth)
        return _pick(builder, low, high, range(LANES))

    return lanes(array, types.intp, plane), generate


@intrinsic
def weigh_taps(
    typing_context: TypingContext,
    image: Type,
    corner: Type,
    stride: Type,
    weights: Type,
    place: Type,
    out: Type,
    out_index: Type,
) -> Any:
    """A 4 x 4 neighbourhood of quads, weighed: one quad, the three planes interpolated at once.

    Four neighbouring quads are one vector, so a row of taps is one load whatever its place.
    `corner` is the index of the first tap in `image`, `stride` that from a row to the next. The
    weights of rows 0..3 lie in `weights` at place, place + 16, ...; those of columns after them.
    """

    def generate(
        context: CPUContext, builder: IRBuilder, sig: Signature, args: Sequence[Value]
    ) -> Any:
        image, corner, stride, weights, place, out, out_index = args

        def weight(number: int, kind: IRType) -> Any:
            index = builder.add(place, ir.Constant(place.type, number * LANES))
            scalar = builder.load(_address(context, builder, sig.args[3], weights, index))
            return _splat(builder, scalar, kind)

        def add_product(total: Value, a: Value, b: Value) -> Any:
            product = builder.fmul(a, b, flags=_FLAGS)
            return product if total is None else builder.fadd(total, product, flags=_FLAGS)

        rows = None
        for row in range(4):
            taps = _load(builder, _address(context, builder, sig.args[0], image, corner))
            rows = add_product(rows, taps, weight(row, _VECTOR))
            corner = builder.add(corner, stride)
        quad = None
        for column in range(4):
            part = _pick(builder, rows, rows, range(column * 4, column * 4 + 4))
            quad = add_product(quad, part, weight(4 + column, _QUAD))
        _store(builder, quad, _address(context, builder, sig.args[5], out, out_index))
        return context.get_dummy_value()

    whole = types.intp
    return types.void(image, whole, whole, weights, whole, out, whole), generate


def exchange(builder: IRBuilder, wires: list[Value], network: Sequence[tuple[int, int]]) -> None:
    """Compare-exchanges in turn: (i, j) leaves the smaller on wire i and the larger on wire j.

    For other intrinsics to build on. An output that nobody reads is dropped by LLVM.
    """
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 2)
    low, high = (
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
        for name in ("minnum", "maxnum")
    )
    for i, j in network:
        both = [wires[i], wires[j]]
        wires[i] = builder.call(low, both, fastmath=_FLAGS)
        wires[j] = builder.call(high, both, fastmath=_FLAGS)


def load_at(
    context: CPUContext, builder: IRBuilder, array_type: Type, array: Value, index: Value, by: int
) -> Any:
    """Sixteen floats from array[index + by] on, inside another intrinsic."""
    place = builder.add(index, ir.Constant(index.type, by))
    return _load(builder, _address(context, builder, array_type, array, place))


def store_at(
    context: CPUContext,
    builder: IRBuilder,
    array_type: Type,
    array: Value,
    index: Value,
    value: Value,
) -> None:
    """array[index : index + 16] = value, inside another intrinsic."""
    _store(builder, value, _address(context, builder, array_type, array, index))
