"""A texture that moves in a known way: drawn from waves, so that any position is exact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Motion = Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray, NDArray]]
"""From positions in the first frame (x, y, from the middle) to those in the second one."""


def shift(dx: float, dy: float) -> Motion:
    return lambda x, y: (x + dx, y + dy)


def turn(degrees: float) -> Motion:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return lambda x, y: (c * x - s * y, s * x + c * y)


def zoom(factor: float) -> Motion:
    return lambda x, y: (factor * x, factor * y)


def moving(
    motion: Motion, height: int = 60, width: int = 78, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Two frames (2, H, W) and the flow (2, H, W) from the first to the second.

    The second frame is drawn where the inverse motion says, found by fixed-point iteration.
    """
    random = np.random.default_rng(seed)
    waves = random.uniform(-0.4, 0.4, (20, 2)), random.uniform(0, 2 * np.pi, 20)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x, y = x - width / 2, y - height / 2

    def draw(at_x: NDArray[np.float64], at_y: NDArray[np.float64]) -> NDArray[np.uint8]:
        total = sum(
            np.cos(across * at_x + down * at_y + phase)
            for (across, down), phase in zip(*waves, strict=True)
        )
        return np.clip(np.rint(128 + 20 * np.asarray(total)), 0, 255).astype(np.uint8)

    back_x, back_y = x, y
    for _ in range(30):
        there_x, there_y = motion(back_x, back_y)
        back_x, back_y = back_x + x - there_x, back_y + y - there_y
    there_x, there_y = motion(x, y)
    flow = np.stack([there_x - x, there_y - y]).astype(np.float32)
    return np.stack([draw(x, y), draw(back_x, back_y)]), flow


def noise(count: int, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Frames of which none resembles another."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, height, width), dtype=np.uint8)
