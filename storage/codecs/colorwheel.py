"""Flow as colour: the wheel of the Middlebury benchmark. Hue is the direction, depth the speed."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

STEPS = (15, 6, 4, 11, 13, 6)
"""Hues from red to yellow, green, cyan, blue, magenta and back to red."""
CORNERS = (
    (255, 0, 0),
    (255, 255, 0),
    (0, 255, 0),
    (0, 255, 255),
    (0, 0, 255),
    (255, 0, 255),
    (255, 0, 0),
)


@cache
def wheel() -> NDArray[np.float64]:
    """float64 (55, 3): RGB 0..255 of the hues, in equal steps of the angle."""
    parts = []
    for steps, (start, end) in zip(STEPS, pairwise(CORNERS), strict=True):
        way = np.floor(255 * np.arange(steps) / steps)[:, None] / 255
        parts.append(np.array(start) + way * (np.array(end) - np.array(start)))
    return np.concatenate(parts)


def flow_to_rgb(flow: NDArray[np.floating], full: float | None = None) -> NDArray[np.uint8]:
    """Flow (2, H, W) or (N, 2, H, W) in pixels -> RGB uint8 (H, W, 3) or (N, H, W, 3).

    Rest is white. A motion of `full` pixels or more has the pure hue. (The benchmark darkens what
    is faster than `full`, which here would blacken the few noisy pixels that are left above it.)
    When None, `full` is the fastest motion there is.
    """
    flow = np.asarray(flow, np.float64)
    u, v = flow[..., 0, :, :], flow[..., 1, :, :]
    speed = np.hypot(u, v)
    reach = full if full is not None else float(speed.max(initial=0))
    speed = np.minimum(speed / max(reach, 1e-9), 1)
    colours = wheel()
    place = (np.arctan2(-v, -u) / np.pi + 1) / 2 * (len(colours) - 1)
    low = np.floor(place).astype(int)
    rest = (place - low)[..., None]
    hue = (1 - rest) * colours[low] + rest * colours[(low + 1) % len(colours)]
    rgb = 255 - speed[..., None] * (255 - hue)
    return np.floor(rgb).astype(np.uint8)
