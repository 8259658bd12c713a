"""Camera motion between two frames: a homography by RANSAC from matched features and flow tracks.

Features see far, but sit where the picture is rich; corners that the flow carries along are many
and lie everywhere. Both together, as in improved dense trajectories (Wang and Schmid 2013), whose
numbers these are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

THRESHOLD = 1.0
"""Pixels by which an inlier may miss."""
MATCHES, INLIERS = 50, 25
"""Fewer than these are no evidence of a camera motion."""
SHARE = 0.2
"""Least share of inliers: across a cut RANSAC finds 0.03 to 0.19, in a pan 0.3 and more."""
STILL = 0.25
"""Pixels; a camera that moves the scene by less stands still."""

NOISE = 2
"""Grey levels by which a pixel may change without any motion."""
CLEARLY = 1.2
"""By how much the area that comes nearer must be the larger one; real pans have 1.5 and more."""

Points = NDArray[np.float32]


@dataclass(frozen=True)
class CameraMotion:
    """Where the camera takes the points of the first frame, and on what evidence."""

    homography: NDArray[np.float64]
    """(3, 3): pixels of the first frame to pixels of the second, column and row."""
    outcome: str
    """moving; still (then the homography is the identity); unknown (likewise: too few matches, no
    homography that fits them, or one that brings the frames no nearer to each other)."""
    matches: int = 0
    inliers: int = 0
    steady: NDArray[np.uint8] | None = None
    """Where the camera moves: the second frame as it would be, had it not."""


class FrameFeatures:
    """A grey frame, uint8 (H, W), and its features, found when first asked for."""

    def __init__(self, grey: NDArray[np.uint8]) -> None:
        self.grey = np.ascontiguousarray(grey)

    @cached_property
    def described(self) -> tuple[Points, NDArray[np.float32] | None]:
        """Places (N, 2) of SIFT features, and their descriptors; None where there are none."""
        points, descriptors = cv2.SIFT.create(nfeatures=600).detectAndCompute(self.grey, None)
        return np.array([point.pt for point in points], np.float32).reshape(-1, 2), descriptors

    @cached_property
    def corners(self) -> NDArray[np.intp]:
        """(N, 2): column and row of corners that a flow can follow."""
        corners = cv2.goodFeaturesToTrack(self.grey, 1000, 0.001, 3)
        if corners is None:
            return np.empty((0, 2), np.intp)
        return corners.reshape(-1, 2).astype(np.intp)


def matched_features(first: FrameFeatures, second: FrameFeatures) -> tuple[Points, Points]:
    """Places (N, 2) in the first frame, and where each is in the second; matches are mutual."""
    here, described = first.described
    there, others = second.described
    if described is None or others is None:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    matches = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(described, others)
    pairs = np.array([(m.queryIdx, m.trainIdx) for m in matches], np.intp).reshape(-1, 2)
    return here[pairs[:, 0]], there[pairs[:, 1]]


def tracked_corners(first: FrameFeatures, flow: NDArray[np.float32]) -> tuple[Points, Points]:
    """Corners (N, 2) of the first frame, and where `flow` (2, H, W) takes them within it."""
    columns, rows = first.corners.T
    here = first.corners.astype(np.float32)
    there = here + flow[:, rows, columns].T
    height, width = first.grey.shape
    inside = ((there >= 0) & (there <= (width - 1, height - 1))).all(1)
    return here[inside], there[inside]


def camera_motion(
    first: FrameFeatures, second: FrameFeatures, flow: NDArray[np.float32]
) -> CameraMotion:
    """The camera's motion between two frames, given the flow (2, H, W) between them."""
    parts = matched_features(first, second), tracked_corners(first, flow)
    here, there = (np.concatenate(points) for points in zip(*parts, strict=True))
    unknown = CameraMotion(np.eye(3), "unknown", len(here))
    if len(here) < MATCHES:
        return unknown
    homography, mask = cv2.findHomography(here, there, cv2.RANSAC, THRESHOLD)
    if homography is None or not is_sane(homography, *first.grey.shape):
        return unknown
    fits = mask.ravel().astype(bool)
    inliers = int(fits.sum())
    if inliers < max(INLIERS, SHARE * len(here)):
        return unknown
    moved = np.linalg.norm(moved_by(homography, here[fits]) - here[fits], axis=1)
    if moved.mean() < STILL:
        return CameraMotion(np.eye(3), "still", len(here), inliers)
    steady = hold_camera(first.grey, second.grey, homography)
    if not is_nearer(first.grey, steady, than=second.grey):
        return unknown
    return CameraMotion(homography, "moving", len(here), inliers, steady)


def is_nearer(
    first: NDArray[np.uint8], steady: NDArray[np.uint8], *, than: NDArray[np.uint8]
) -> bool:
    """Whether more of the frame's area comes nearer to the first frame than moves away from it.

    A thing with more features than all that lies behind it decides the homography; its motion is
    not the camera's, and the background, if paler, is larger, and would move.
    """
    before, after = cv2.absdiff(first, than), cv2.absdiff(first, steady)
    nearer = cv2.subtract(before, after) > NOISE
    farther = cv2.subtract(after, before) > NOISE
    return bool(nearer.sum() > CLEARLY * farther.sum())


def moved_by(homography: NDArray[np.float64], points: NDArray[Any]) -> NDArray[np.float64]:
    """Where a homography takes points (N, 2)."""
    to: NDArray[np.float64] = cv2.perspectiveTransform(
        points.reshape(-1, 1, 2).astype(np.float64), homography
    )
    return to.reshape(-1, 2)


def is_sane(homography: NDArray[np.float64], height: int, width: int) -> bool:
    """Whether a frame keeps its corners apart, in order, and within half a frame of their places.

    RANSAC finds some homography in any set of points; across a cut it is a wild one.
    """
    corners = np.array([(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)], float)
    depth = np.c_[corners, np.ones(4)] @ homography[2]
    if not np.isfinite(homography).all() or (depth <= 0.1).any():
        return False
    to = moved_by(homography, corners)
    near = np.abs(to - corners).max(0) <= (width / 2, height / 2)
    return bool(near.all() and cv2.isContourConvex(to.astype(np.float32).reshape(-1, 1, 2)))


def hold_camera(
    first: NDArray[np.uint8], second: NDArray[np.uint8], homography: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """The second frame as it would be had the camera not moved: uint8 (H, W).

    What the camera did not see is filled from the first frame, so that nothing moves there.
    """
    height, width = first.shape
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height))
    at = moved_by(homography, np.stack([columns, rows], -1).reshape(-1, 2)).astype(np.float32)
    x, y = at.T.reshape(2, height, width)
    warped = cv2.remap(second, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    seen = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return np.where(seen, warped, first).astype(np.uint8)
