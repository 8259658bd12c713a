"""Improved dense trajectories of a video: its frames and its flow in, tracks and descriptors out.

Wang and Schmid, "Action recognition by dense trajectories" (CVPR 2011) and "Action recognition
with improved trajectories" (ICCV 2013), with any flow in place of Farnebaeck's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flow.trajectories.camera import CameraFinder, residual_flow
from flow.trajectories.descriptors import (
    LENGTH,
    PATCH,
    UNIT,
    WIDTH,
    add_patches,
    descriptor_rows,
)
from flow.trajectories.histograms import CHANNELS, integral_histograms
from flow.trajectories.params import TrajectoryParams
from flow.trajectories.pyramid import (
    flow_pyramid,
    grey_pyramid,
    median_filtered,
    scale_sizes,
)
from flow.trajectories.tracking import Live, advance, dense_points, is_steady, moves_by_itself
from flow.tvl1 import checked_frames
from storage.errors import UserError
from storage.features import IDT, columns


@dataclass(frozen=True)
class Tracks:
    """Tracks of 15 frames, in the order in which they end; places are pixels of the frame."""

    points: NDArray[np.float32]
    """(N, 16, 2): column and row in each frame."""
    start: NDArray[np.int32]
    """(N,): index of the frame in which a track begins."""
    scale: NDArray[np.float32]
    """(N,): pixels of the frame to one pixel of the track's scale, 1 or more."""
    descriptors: NDArray[np.float32]
    """(N, 426), not yet normalised; `storage.features.IDT` says what is where."""

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return f"Tracks({len(self)} of {LENGTH} frames, {len(np.unique(self.scale))} scales)"

    @property
    def position(self) -> NDArray[np.float32]:
        """(N, 2): mean column and row."""
        mean: NDArray[np.float32] = self.points.mean(axis=1)
        return mean

    @property
    def time(self) -> NDArray[np.float32]:
        """(N,): the middle of each track, in frames."""
        return (self.start + LENGTH / 2).astype(np.float32)

    def descriptor(self, name: str) -> NDArray[np.float32]:
        """trajectory (N, 30), hog (N, 96), hof (N, 108), mbhx (N, 96) or mbhy (N, 96)."""
        if name not in {kind.name for kind in IDT}:
            names = ", ".join(kind.name for kind in IDT)
            raise UserError(f"tracks have no descriptor {name!r}; choose one of {names}")
        return self.descriptors[:, columns(IDT, name)]


class TrajectoryExtractor:
    """Takes a video one pair of frames at a time, so that its length costs no memory but tracks."""

    def __init__(self, height: int, width: int, params: TrajectoryParams | None = None) -> None:
        if min(height, width) < PATCH:
            raise UserError(
                f"frames are {width}x{height}; trajectories need at least {PATCH}x{PATCH}: "
                "resize them (extract: --size)"
            )
        self.params = params or TrajectoryParams()
        self._sizes = scale_sizes(height, width, self.params.scales)
        self._live = [Live.nothing() for _ in self._sizes]
        self._integral = np.empty((height + 1) * (width + 1) * CHANNELS, np.uint32)
        self._pairs = 0
        self._ended: list[Tracks] = [_no_tracks()]

    def add(
        self,
        grey: NDArray[np.uint8],
        flow: NDArray[np.float32],
        residual: NDArray[np.float32] | None = None,
    ) -> None:
        """The next frame (H, W), the flow (2, H, W) from it to the one after it, and `residual`,
        that flow without the camera's motion; without it, the camera's motion counts as motion.
        """
        for what in (flow,) if residual is None else (flow, residual):
            if not np.isfinite(what).all():
                raise UserError(
                    f"the flow from frame {self._pairs} has values that are no finite numbers; "
                    "compute it again (twostream verify finds damaged stores)"
                )
        greys, flows = grey_pyramid(grey, self._sizes), flow_pyramid(flow, self._sizes)
        residuals = flows if residual is None else flow_pyramid(residual, self._sizes)
        for level, live in enumerate(self._live):
            live.begin(dense_points(greys[level], live.newest(), self.params))
            planes = np.concatenate([greys[level][None], residuals[level]], dtype=np.float32)
            shape = planes.shape[1] + 1, planes.shape[2] + 1, CHANNELS
            integral = self._integral[: math.prod(shape)].reshape(shape)
            integral_histograms(planes, UNIT, integral)
            add_patches(integral, live.points, live.ages, live.sums)
            moving = median_filtered(flows[level])
            own = moving if residual is None else median_filtered(residuals[level])
            advance(live.points, live.steps, live.ages, moving, own)
            self._collect(level, camera_removed=residual is not None)
        self._pairs += 1

    def _collect(self, level: int, *, camera_removed: bool) -> None:
        """Take the tracks that have come to their end, and keep those that are worth it."""
        live = self._live[level]
        places = np.flatnonzero(live.ages == LENGTH)
        (full_height, full_width), (height, width) = self._sizes[0], self._sizes[level]
        ratio = np.array([full_width / width, full_height / height], np.float32)
        # Middles of pixels, not corners, coincide between scales.
        points = (live.points[places] + np.float32(0.5)) * ratio - np.float32(0.5)
        steps = live.steps[places] * ratio
        live.end(places)
        good = is_steady(points, self.params)
        if camera_removed:
            good &= moves_by_itself(steps, self.params)
        count = int(good.sum())
        if count:
            first = self._pairs + 1 - LENGTH
            self._ended.append(
                Tracks(
                    points[good],
                    np.full(count, first, np.int32),
                    np.full(count, np.sqrt(ratio[0] * ratio[1]), np.float32),
                    descriptor_rows(steps[good], live.sums[places[good]]),
                )
            )

    def tracks(self) -> Tracks:
        """All tracks that have ended so far."""
        names = ("points", "start", "scale", "descriptors")
        return Tracks(*(np.concatenate([getattr(t, n) for t in self._ended]) for n in names))


def improved_trajectories(
    frames: NDArray[np.uint8],
    flow: NDArray[np.float32],
    warped: NDArray[np.float32] | None = None,
    params: TrajectoryParams | None = None,
    *,
    homographies: NDArray[np.float64] | None = None,
) -> Tracks:
    """The tracks of a video: grey frames, uint8 (T, H, W), and their flow, (T-1, 2, H, W) pixels.

    Points move along `flow`; HOF, MBH and the shape come from the flow without the camera's
    motion: `warped`, of the same shape, as the store keeps it; or `flow` corrected by
    `homographies` (T-1, 3, 3), from each frame to the next; or, where neither is given, by
    homographies found here. `params.camera = "kept"` leaves the camera's motion in.
    Fewer than 16 frames have no tracks.
    """
    frames, params = checked_frames(frames), params or TrajectoryParams()
    count, height, width = frames.shape
    extractor = TrajectoryExtractor(height, width, params)
    _check_shape("flow", flow, (count - 1, 2, height, width))
    if warped is not None:
        _check_shape("warped flow", warped, flow.shape)
    if homographies is not None:
        _check_shape("homographies", homographies, (count - 1, 3, 3))
    if params.camera == "kept" and not (warped is None and homographies is None):
        raise UserError("camera is 'kept', but warped flow or homographies are given; leave them")
    finder = CameraFinder(frames[0])
    for i in range(count - 1):
        pair = np.ascontiguousarray(flow[i], np.float32)
        residual: NDArray[np.float32] | None = None
        if warped is not None:
            residual = np.ascontiguousarray(warped[i], np.float32)
        elif homographies is not None:
            residual = residual_flow(pair, np.asarray(homographies[i], np.float64))
        elif params.camera == "removed":
            residual = finder.residual(frames[i + 1], pair)
        extractor.add(frames[i], pair, residual)
    return extractor.tracks()


def _check_shape(name: str, array: NDArray, expected: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.shape != expected:
        shape = getattr(array, "shape", type(array).__name__)
        raise UserError(f"{name}: {shape} is given; the frames need {expected}")
    if array.dtype.kind != "f":
        raise UserError(
            f"{name}: {array.dtype} is given; give floats in pixels (codes of a store are decoded "
            "by its quantiser)"
        )


def _no_tracks() -> Tracks:
    return Tracks(
        np.empty((0, LENGTH + 1, 2), np.float32),
        np.empty(0, np.int32),
        np.empty(0, np.float32),
        np.empty((0, WIDTH), np.float32),
    )
