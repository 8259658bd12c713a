"""Linear resizing of one plane between pyramid levels."""

from __future__ import annotations

import numpy as np
from numba import njit

from flow.tvl1.cpu.simd import LANES, load, splat, store


@njit(nogil=True, error_model="numpy")
def resize(m, source, target, arena, rows, columns, factor):  # type: ignore[no-untyped-def]
    """Each pixel of the target is `factor` times a blend of 2 x 2 pixels of the source.

    `source` and `target` are images. Row y blends rows low[rows + y] and the next by
    fraction[rows + y]; likewise columns. The source's last row must be followed by a readable one.
    """
    one = np.float32(1)
    low, fraction, scratch = arena.low, arena.fraction, arena.scratch
    for y in range(target.height):
        up = source.place + low[rows + y] * source.pitch
        share = fraction[rows + y]
        # the last row has no next one, and needs none
        down = up + source.pitch if share > 0 else up
        keep, add = splat(factor * (one - share)), splat(factor * share)
        for x in range(0, source.width, LANES):
            store(m, scratch + x, keep * load(m, up + x) + add * load(m, down + x))
        m[scratch + source.width] = m[scratch + source.width - 1]
        out = target.place + y * target.pitch
        for x in range(target.width):
            left = m[scratch + low[columns + x]]
            right = m[scratch + low[columns + x] + 1]
            m[out + x] = left + (right - left) * fraction[columns + x]
