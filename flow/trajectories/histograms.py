"""Histograms of orientations over any rectangle of a frame, by integral images.

All four kinds lie side by side, so that one pass over the pixels fills them and one walk over
four corners reads them. The integrals are whole numbers that may run over: their differences are
exact all the same, so a descriptor depends neither on where its patch is nor on any rounding
before it, and a field without gradients gives zeros, not noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flow.trajectories.compiled import compiled

BINS = 8
"""Orientations: bin b is centred on b times 45 degrees, from x (right) to y (down)."""
HOG, HOF, MBHX, MBHY, CHANNELS = 0, 8, 17, 25, 33
"""Where each kind's bins begin; HOF has a ninth one, for what does not move."""
STILL = np.float32(0.4)
"""Pixels of flow up to which nothing moves, as in the authors' program."""
MOST = np.float32(255)
"""Longer gradients and flows count as this: it bounds the sums."""
HALF, TINY = np.float32(0.5), np.float32(1e-30)


def integer_unit(pixels: int) -> np.float32:
    """What one pixel of magnitude 1 adds, so that `pixels` of the largest magnitude still fit."""
    return np.float32(2**32 // (256 * pixels))


@compiled
def shares(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    unit: np.float32,
    low: NDArray[np.int32],
    below: NDArray[np.uint32],
    above: NDArray[np.uint32],
) -> None:
    """Each vector's magnitude, shared between the two bins whose centres its angle lies between.

    `low`: the bin before the angle, `below`: that bin's share, `above`: the next bin's. Without
    a branch, so that the compiler computes many vectors at once.
    """
    for i in range(len(x)):
        across, down = abs(x[i]), abs(y[i])
        small, large = min(across, down), max(across, down)
        r = small / max(large, TINY)
        square = r * r
        # Abramowitz and Stegun 4.4.49 for the arctangent, times 4 / pi: right to 1e-5
        angle = np.float32(0.0265281)
        angle = angle * square - np.float32(0.1083947)
        angle = angle * square + np.float32(0.2293627)
        angle = angle * square - np.float32(0.4205504)
        angle = (angle * square + np.float32(1.2730690)) * r
        angle = np.float32(2) - angle if down > across else angle
        angle = np.float32(4) - angle if x[i] < 0 else angle
        angle = np.float32(8) - angle if y[i] < 0 else angle
        magnitude = min(np.sqrt(across * across + down * down), MOST) * unit
        before = np.int32(angle)
        upper = magnitude * (angle - np.float32(before))
        low[i] = before
        above[i] = np.uint32(upper)
        below[i] = np.uint32(magnitude - upper)


@compiled
def _row_gradients(
    above: NDArray[np.float32],
    here: NDArray[np.float32],
    below: NDArray[np.float32],
    across: NDArray[np.float32],
    down: NDArray[np.float32],
) -> None:
    """Central differences along a row, and from the row above to the row below; 0 at both ends."""
    width = len(here)
    across[0] = across[width - 1] = 0
    for x in range(1, width - 1):
        across[x] = HALF * (here[x + 1] - here[x - 1])
    for x in range(width):
        down[x] = HALF * (below[x] - above[x])


@compiled
def integral_histograms(
    planes: NDArray[np.float32], unit: np.float32, out: NDArray[np.uint32]
) -> None:
    """Fill `out`, uint32 (H+1, W+1, 33), from `planes` (3, H, W): grey, x and y of the flow.

    HOG: gradients of the frame. HOF: the flow itself. MBHx, MBHy: gradients of its x and of its
    y. Gradients are central differences, and 0 across the border.
    """
    _, height, width = planes.shape
    out[0] = 0
    across, down = np.empty((4, width), np.float32), np.empty((4, width), np.float32)
    low = np.empty((4, width), np.int32)
    first, second = np.empty((4, width), np.uint32), np.empty((4, width), np.uint32)
    row = np.zeros(CHANNELS, np.uint32)
    still, one = STILL * STILL, np.uint32(unit)
    for y in range(height):
        before, after = (y - 1, y + 1) if 0 < y < height - 1 else (y, y)
        for kind, plane in ((0, 0), (2, 1), (3, 2)):
            grid = planes[plane]
            _row_gradients(grid[before], grid[y], grid[after], across[kind], down[kind])
        across[1] = planes[1, y]
        down[1] = planes[2, y]
        for kind in range(4):
            shares(across[kind], down[kind], unit, low[kind], first[kind], second[kind])
        row[:] = 0
        out[y + 1, 0] = 0
        for x in range(width):
            b = low[0, x]
            row[HOG + b % BINS] += first[0, x]
            row[HOG + (b + 1) % BINS] += second[0, x]
            if across[1, x] * across[1, x] + down[1, x] * down[1, x] <= still:
                row[HOF + BINS] += one
            else:
                b = low[1, x]
                row[HOF + b % BINS] += first[1, x]
                row[HOF + (b + 1) % BINS] += second[1, x]
            b = low[2, x]
            row[MBHX + b % BINS] += first[2, x]
            row[MBHX + (b + 1) % BINS] += second[2, x]
            b = low[3, x]
            row[MBHY + b % BINS] += first[3, x]
            row[MBHY + (b + 1) % BINS] += second[3, x]
            over, to = out[y, x + 1], out[y + 1, x + 1]
            for channel in range(CHANNELS):
                to[channel] = over[channel] + row[channel]
