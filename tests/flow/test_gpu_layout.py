"""Tiles cover a level once and see as far as they must; memory parts do not overlap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow.tvl1.gpu.layout import (
    MAX_HALO,
    TILE_WIDTH,
    WARPS,
    BatchLayout,
    Tiling,
    block_bytes,
    choose_pairs,
)
from flow.tvl1.params import TVL1


def cut(index: int, count: int, size: int, extent: int, halo: int) -> tuple[int, int, int]:
    """kernels/tile.cuh in Python: a tile's first pixel, its first owned, and the end of those."""
    stride = extent - 2 * halo
    last = index == count - 1
    start = max(size - extent, 0) if last else index * stride
    own = 0 if index == 0 else index * stride + halo
    return start, own, size if last else (index + 1) * stride + halo


@given(st.integers(16, 4000), st.integers(16, 4000), st.sampled_from([2, 4, 8]))
def test_each_pixel_is_owned_once_and_tiles_see_a_halo_beyond(
    height: int, width: int, rows: int
) -> None:
    tiling = Tiling.best(height, width, rows)
    assert 1 <= tiling.halo <= MAX_HALO
    for size, extent, count in (
        (width, TILE_WIDTH, tiling.across),
        (height, WARPS * rows, tiling.down),
    ):
        end = 0
        for index in range(count):
            start, own, own_end = cut(index, count, size, extent, tiling.halo)
            assert own == end < own_end
            assert start >= 0
            assert size < extent or start + extent <= size
            assert start == 0 or own - start >= tiling.halo
            assert own_end == size or start + extent - own_end >= tiling.halo
            end = own_end
        assert end == size


@given(
    st.integers(16, 300),
    st.integers(16, 300),
    st.integers(1, 9),
    st.sampled_from([TVL1(), TVL1.preset("opencv-cpu"), replace(TVL1(), scales=1)]),
)
def test_parts_of_memory_lie_apart(height: int, width: int, pairs: int, params: TVL1) -> None:
    layout = BatchLayout(params, height, width, pairs)
    offsets = list(layout.offsets.values())
    assert offsets == sorted(set(offsets))
    assert all(offset % 512 == 0 for offset in offsets)
    images = 1 + 4 + 16  # bytes of a frame, its grey levels, its taps
    assert layout.bytes >= (pairs * 72 + (pairs + 1) * images) * height * width


def test_a_batch_fits_the_memory_and_is_no_larger_than_useful() -> None:
    params = TVL1()
    free = 8 << 30
    for height, width in ((120, 160), (256, 340), (480, 640), (2160, 3840)):
        pairs = choose_pairs(params, height, width, 8, free, slots=2)
        size = BatchLayout(params, height, width, pairs).bytes
        assert 2 * size <= free
        assert pairs == 1 or pairs * height * width <= 12_000_000
    assert choose_pairs(params, 256, 340, 8, 80 << 30, slots=2) == 126
    assert choose_pairs(params, 256, 340, 8, 1 << 20, slots=2) == 1


@pytest.mark.parametrize("rows", [4, 8])
def test_two_blocks_share_a_processor_where_it_has_the_memory(rows: int) -> None:
    h100, turing = 227 * 1024, 64 * 1024
    assert 2 * (block_bytes(rows) + 1024) <= h100
    assert rows == 8 or block_bytes(rows) <= turing


def test_halos_by_size() -> None:
    assert Tiling.best(256, 340, 8) in (Tiling(6, 5, 4), Tiling(7, 5, 8))
    assert Tiling.best(64, 64, 8) == Tiling(1, 1, MAX_HALO)
    assert np.prod([Tiling.best(2160, 3840, 8).across, Tiling.best(2160, 3840, 8).down]) < 5000
