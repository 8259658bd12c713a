"""Flow without the camera's motion, from a homography that is given or found anew.

Departures from Wang and Schmid 2013: they warp the second frame and compute the flow once more
(the store's field `warped` is that, and is best where it is there); here the flow that is given
is corrected, which is the same but for what is not seen. Their human detector is left out, so a
person who fills the frame may pass for the background; `flow.camera` refuses a homography that
brings the frames no nearer to each other.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from flow.algorithms import FrameFeatures, camera_motion
from storage.errors import UserError


def residual_flow(
    flow: NDArray[np.float32], homography: NDArray[np.float64]
) -> NDArray[np.float32]:
    """What is left of a flow (2, H, W) when the camera is held as it was in the first frame.

    `homography` (3, 3) takes pixels of the first frame to pixels of the second, column and row.
    """
    _, height, width = flow.shape
    if homography.shape != (3, 3) or not np.isfinite(homography).all():
        raise UserError(
            f"a homography of shape {homography.shape} is given; it must be 3 x 3 finite numbers "
            "that take pixels of a frame to the next one"
        )
    if abs(np.linalg.det(homography)) < 1e-12:
        raise UserError("a homography is singular; where the camera's motion is unknown, give eye")
    start = np.empty((height, width, 2))
    start[..., 0], start[..., 1] = np.arange(width), np.arange(height)[:, None]
    to = start + flow.transpose(1, 2, 0)
    back: NDArray[np.float64] = cv2.perspectiveTransform(to, np.linalg.inv(homography))
    return np.ascontiguousarray((back - start).transpose(2, 0, 1), np.float32)


class CameraFinder:
    """The residual flow of one pair of frames after another, homographies found anew."""

    def __init__(self, grey: NDArray[np.uint8]) -> None:
        self._first = FrameFeatures(grey)

    def residual(self, second: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.float32]:
        """That of the flow to the frame `second`, which is then the first of the next pair."""
        features = FrameFeatures(second)
        camera = camera_motion(self._first, features, flow)
        self._first = features
        return flow if camera.steady is None else residual_flow(flow, camera.homography)
