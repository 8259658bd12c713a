"""Linear resizing of one plane between pyramid levels."""

from __future__ import annotations

import numpy as np
from numba import njit

from flow.tvl1.cpu.simd import LANES, load, splat, store


@njit(nogil=True, error_model="numpy")
def resize(  # type: ignore[no-untyped-def]
    m, source, source_pitch, source_width, target, target_pitch, height, width, low, fraction,
    rows, columns, factor, scratch,
):  # fmt: skip
    """Each pixel of the target is `factor` times a blend of 2 x 2 pixels of the source.

    Row y blends rows low[rows + y] and the next by fraction[rows + y]; likewise columns. The
    source's last row must be followed by a readable one. `scratch` is the index of a row.
    """
    one = np.float32(1)
    for y in range(height):
        up = source + low[rows + y] * source_pitch
        share = fraction[rows + y]
        # the last row has no next one, and needs none
        down = up + source_pitch if share > 0 else up
        keep, add = splat(factor * (one - share)), splat(factor * share)
        for x in range(0, source_width, LANES):
            store(m, scratch + x, keep * load(m, up + x) + add * load(m, down + x))
        m[scratch + source_width] = m[scratch + source_width - 1]
        out = target + y * target_pitch
        for x in range(width):
            left = m[scratch + low[columns + x]]
            right = m[scratch + low[columns + x] + 1]
            m[out + x] = left + (right - left) * fraction[columns + x]
