"""Points sampled densely on one spatial scale, and moved along with the flow for L frames."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flow.trajectories.compiled import compiled
from flow.trajectories.descriptors import LENGTH, PLACES, SLICES
from flow.trajectories.histograms import CHANNELS
from flow.trajectories.params import TrajectoryParams

ROOM = 1024
"""Tracks that there is room for at first; more is made when it is needed."""
NONE = -1
"""Age of a place in which there is no track."""


@dataclass
class Live:
    """Tracks under way on one scale, in its pixels; places are used again when tracks end."""

    points: NDArray[np.float32]
    """(N, 16, 2): column and row, one more a frame."""
    steps: NDArray[np.float32]
    """(N, 15, 2): the motion at these points, the camera's taken out where it is known."""
    sums: NDArray[np.float32]
    """(N, 3, 4, 33): what the histograms count."""
    ages: NDArray[np.int32]
    """(N,): index of the newest point, or NONE."""

    @classmethod
    def nothing(cls, room: int = ROOM) -> Live:
        return cls(
            np.zeros((room, LENGTH + 1, 2), np.float32),
            np.zeros((room, LENGTH, 2), np.float32),
            np.zeros((room, SLICES, PLACES, CHANNELS), np.float32),
            np.full(room, NONE, np.int32),
        )

    def newest(self) -> NDArray[np.float32]:
        """Where the tracks are now, (M, 2)."""
        live = np.flatnonzero(self.ages >= 0)
        return self.points[live, self.ages[live]]

    def begin(self, points: NDArray[np.float32]) -> None:
        """Begin a track at each of these points (M, 2)."""
        free = np.flatnonzero(self.ages == NONE)
        if len(free) < len(points):
            more = Live.nothing(max(len(self.ages), len(points)))
            for name in ("points", "steps", "sums", "ages"):
                both = np.concatenate([getattr(self, name), getattr(more, name)])
                setattr(self, name, both)
            free = np.flatnonzero(self.ages == NONE)
        places = free[: len(points)]
        self.points[places, 0] = points
        self.sums[places] = 0
        self.ages[places] = 0

    def end(self, places: NDArray[np.intp]) -> None:
        self.ages[places] = NONE


def dense_points(
    grey: NDArray[np.uint8], occupied: NDArray[np.float32], params: TrajectoryParams
) -> NDArray[np.float32]:
    """New points (M, 2) on a grid over a frame (H, W): the middles of its cells.

    Not where a track is in the cell already (`occupied` (K, 2) are their places), nor where the
    frame has no texture: the smaller eigenvalue of the auto-correlation over 3 x 3 pixels.
    """
    step = params.step
    rows, columns = (side // step for side in grey.shape)
    eigenvalues = cv2.cornerMinEigenVal(grey, 3, ksize=3)
    middle = step // 2
    grid = eigenvalues[middle::step, middle::step][:rows, :columns]
    free = grid > params.quality * eigenvalues.max()
    at = np.floor(occupied + np.float32(0.5)).astype(np.intp) // step
    at = at[(at[:, 0] < columns) & (at[:, 1] < rows)]
    free[at[:, 1], at[:, 0]] = False
    y, x = np.nonzero(free)
    return np.stack([x, y], axis=1).astype(np.float32) * step + middle


@compiled
def advance(
    points: NDArray[np.float32],
    steps: NDArray[np.float32],
    ages: NDArray[np.int32],
    flow: NDArray[np.float32],
    residual: NDArray[np.float32],
) -> None:
    """Move every track by the flow (2, H, W) at the pixel nearest to it, as the papers do.

    `residual` (2, H, W) is noted as its step. A track that leaves the frame ends.
    """
    height, width = flow.shape[1:]
    for track in range(len(ages)):
        age = ages[track]
        if age < 0:
            continue
        x, y = points[track, age]
        column = min(max(int(np.floor(x + np.float32(0.5))), 0), width - 1)
        row = min(max(int(np.floor(y + np.float32(0.5))), 0), height - 1)
        x += flow[0, row, column]
        y += flow[1, row, column]
        # not `x < 0 or ...`: what is not a number must end too
        if not (x >= 0 and x <= width - 1 and y >= 0 and y <= height - 1):
            ages[track] = NONE
            continue
        steps[track, age, 0] = residual[0, row, column]
        steps[track, age, 1] = residual[1, row, column]
        points[track, age + 1, 0] = x
        points[track, age + 1, 1] = y
        ages[track] = age + 1


def is_steady(points: NDArray[np.float32], params: TrajectoryParams) -> NDArray[np.bool_]:
    """Which of the tracks (N, 16, 2), in pixels of the frame, are neither static nor erratic.

    The papers speak of the 70 % only; the spreads and the 20 pixels are from the program.
    """
    spread = points.std(axis=1)
    moves = (spread >= params.least_spread).any(1) & (spread <= params.most_spread).all(1)
    lengths = np.linalg.norm(np.diff(points, axis=1), axis=2)
    longest = lengths.max(1)
    jumps = (longest > params.longest_step) & (longest > params.step_share * lengths.sum(1))
    result: NDArray[np.bool_] = moves & ~jumps
    return result


def moves_by_itself(steps: NDArray[np.float32], params: TrajectoryParams) -> NDArray[np.bool_]:
    """Which tracks move once the camera's motion is taken out; steps (N, 15, 2) in pixels."""
    result: NDArray[np.bool_] = np.linalg.norm(steps, axis=2).max(1) > params.least_motion
    return result
