"""Frames and flow on the spatial scales, each 1/sqrt(2) of the one before."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from flow.trajectories.descriptors import PATCH

Size = tuple[int, int]
"""Height and width in pixels."""
MEDIAN = 3
"""Side of the median filter on the flow that moves the points."""


def scale_sizes(height: int, width: int, scales: int) -> list[Size]:
    """Sizes from the finest to the coarsest, as many as hold a patch: at most `scales`."""
    sizes = []
    for level in range(scales):
        factor = math.sqrt(2) ** level
        if min(height, width) / factor < PATCH:
            break
        sizes.append((round(height / factor), round(width / factor)))
    return sizes


def grey_pyramid(grey: NDArray[np.uint8], sizes: list[Size]) -> list[NDArray[np.uint8]]:
    """A frame, uint8 (H, W), on every scale; each is drawn from the one before."""
    levels = [grey]
    for height, width in sizes[1:]:
        levels.append(_resized(levels[-1], height, width))
    return levels


def flow_pyramid(flow: NDArray[np.float32], sizes: list[Size]) -> list[NDArray[np.float32]]:
    """Flow, float32 (2, H, W), on every scale, in that scale's own pixels."""
    levels = [flow]
    for height, width in sizes[1:]:
        before = levels[-1]
        level = np.stack([_resized(plane, height, width) for plane in before])
        level[0] *= np.float32(width / before.shape[2])
        level[1] *= np.float32(height / before.shape[1])
        levels.append(level)
    return levels


def median_filtered(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flow (2, H, W) after the median of 3 x 3 pixels: a point at an edge moves with one side."""
    return np.stack([cv2.medianBlur(plane, MEDIAN) for plane in flow])


def _resized(plane: NDArray, height: int, width: int) -> NDArray:
    return cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
