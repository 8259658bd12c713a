"""What describes a track: 30 numbers of shape, and 96 + 108 + 96 + 96 of what is around it.

Around every point of a track lies a patch of N x N = 32 x 32 pixels of the track's own scale,
cut into n_sigma x n_sigma = 2 x 2 cells; the track's L = 15 frames are cut into n_tau = 3 slices.
A histogram is laid out as slice, row of cells, column of cells, bin.

Departures from the authors' program: histograms are left as they are counted (per pixel and
frame, so that they fit any float), and are normalised where they are used
(`streams.aggregators.fisher`); the program does so frame by frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flow.trajectories.compiled import compiled
from flow.trajectories.histograms import CHANNELS, HOF, MBHX, MBHY, integer_unit
from storage.features import IDT, row_width

LENGTH = 15
"""Frames that a track goes through: L steps, L + 1 points."""
PATCH, CELLS, SLICES = 32, 2, 3
CELL = PATCH // CELLS
PLACES = CELLS * CELLS
UNIT = integer_unit(CELL * CELL)
WIDTH = row_width(IDT)
AROUND = PATCH // 2


@compiled
def add_patches(
    integral: NDArray[np.uint32],
    points: NDArray[np.float32],
    ages: NDArray[np.int32],
    sums: NDArray[np.float32],
) -> None:
    """Add what is around each track's newest point to its histograms.

    `integral` as in `histograms`; points (N, 16, 2); ages (N,): the index of the newest point,
    negative where there is no track; sums (N, 3, 4, 33): slice, cell, channel. A patch that would
    stand out of the frame is moved into it.
    """
    height, width = integral.shape[0] - 1, integral.shape[1] - 1
    for track in range(len(ages)):
        age = ages[track]
        if age < 0:
            continue
        x = int(np.floor(points[track, age, 0] + np.float32(0.5)))
        y = int(np.floor(points[track, age, 1] + np.float32(0.5)))
        top = min(max(y - AROUND, 0), height - PATCH)
        left = min(max(x - AROUND, 0), width - PATCH)
        piece = age * SLICES // LENGTH
        for cell in range(PLACES):
            y0, x0 = top + cell // CELLS * CELL, left + cell % CELLS * CELL
            high_left, high_right = integral[y0, x0], integral[y0, x0 + CELL]
            low_left, low_right = integral[y0 + CELL, x0], integral[y0 + CELL, x0 + CELL]
            own = sums[track, piece, cell]
            for c in range(CHANNELS):
                total = low_right[c] - high_right[c] - low_left[c] + high_left[c]
                own[c] += np.float32(total)


def trajectory_shape(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Steps (N, 15, 2) over the length of the whole way: (N, 30), x and y by turns."""
    length = np.linalg.norm(steps, axis=2).sum(1)
    shape: NDArray[np.float32] = steps / np.maximum(length, 1e-12)[:, None, None]
    return shape.reshape(len(steps), 2 * LENGTH).astype(np.float32)


def descriptor_rows(steps: NDArray[np.float32], sums: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 426): shape of the steps (N, 15, 2), then the sums (N, 3, 4, 33) per pixel and frame."""
    frames_a_slice = LENGTH // SLICES
    per_pixel = sums / np.float32(UNIT * CELL * CELL * frames_a_slice)
    kinds = np.split(per_pixel, (HOF, MBHX, MBHY), axis=3)
    flat = [kind.reshape(len(sums), -1) for kind in kinds]
    return np.concatenate([trajectory_shape(steps), *flat], axis=1, dtype=np.float32)
