"""Flow algorithms beside TV-L1: cheaper, and not compatible with published TV-L1 streams."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.frames import checked_frames

PARAMETERS: dict[str, dict[str, Any]] = {
    "dis": {"preset": "medium"},
    "farneback": {
        "pyr_scale": 0.5,
        "levels": 5,
        "winsize": 15,
        "iterations": 3,
        "poly_n": 5,
        "poly_sigma": 1.1,
        "flags": 0,
    },
}
"""What they are run with, as the store records it."""


def compute_further(name: str, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 (N, H, W) -> float32 (N-1, 2, H, W), x then y, in pixels."""
    import cv2

    frames = checked_frames(frames)
    out = np.empty((len(frames) - 1, 2, *frames.shape[1:]), np.float32)
    dis: Any = None
    if name == "dis":
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for i in range(len(out)):
        if dis is not None:
            flow = dis.calc(frames[i], frames[i + 1], None)
        else:
            flow = cv2.calcOpticalFlowFarneback(
                frames[i], frames[i + 1], None, **PARAMETERS["farneback"]
            )
        out[i] = flow.transpose(2, 0, 1)
    return out
