"""What flow engines are measured on: drawn motion, clips of one's own, pairs with known flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.convert import UNKNOWN
from storage.errors import UserError


@dataclass(frozen=True)
class Material:
    """Frames to compute flow of."""

    name: str
    frames: NDArray[np.uint8]
    """(N, H, W), grey."""
    truth: NDArray[np.float32] | None = None
    """(2, H, W): the flow of the first pair, where it is known."""

    @property
    def size(self) -> str:
        return f"{self.frames.shape[2]}x{self.frames.shape[1]}"

    def error(self, flow: NDArray[np.float32]) -> float:
        """Mean end-point error of (2, H, W) against the truth, over the pixels that have one."""
        assert self.truth is not None
        known = (np.abs(self.truth) < UNKNOWN).all(axis=0)
        return float(np.hypot(*(flow - self.truth))[known].mean())


def draw_motion(height: int, width: int, count: int = 3, seed: int = 0) -> Material:
    """Texture that pans by (1.5, 0.6) pixels a frame, and a disc on it that turns by 2 degrees.

    Drawn from waves, so that any sub-pixel position is exact.
    """
    random = np.random.default_rng(seed)
    waves = random.uniform(-0.7, 0.7, (24, 2)), random.uniform(0, 2 * np.pi, 24)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    middle_y, middle_x, radius = height / 2, width / 2, min(height, width) / 4
    disc = np.hypot(y - middle_y, x - middle_x) < radius

    def texture(at_x: NDArray[np.float64], at_y: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros(at_x.shape)
        for (across, down), phase in zip(*waves, strict=True):
            total += np.cos(across * at_x + down * at_y + phase)
        return total

    frames = []
    for number in range(count):
        angle = np.deg2rad(2 * number)
        turned_x = np.cos(angle) * (x - middle_x) + np.sin(angle) * (y - middle_y)
        turned_y = np.cos(angle) * (y - middle_y) - np.sin(angle) * (x - middle_x)
        grey = np.where(
            disc, texture(turned_y + 31, turned_x), texture(x - 1.5 * number, y - 0.6 * number)
        )
        frames.append(np.clip(128 + 18 * grey, 0, 255).astype(np.uint8))
    return Material(f"drawn {width}x{height}", np.stack(frames))


def from_clips(folder: Path, pairs: int, most: int | None = None) -> Iterator[Material]:
    """`pairs` pairs from the middle of every video under a folder, grey, in its own size."""
    from flow.video import VideoReader, find_videos, probe, to_grey

    files, _ = find_videos([str(folder)])
    paths = sorted(Path(file.path) for file in files)
    if most is not None:
        paths = paths[:: -(-len(paths) // most)]
    for path in paths:
        start = max(0, int(probe(path).frames or 0) // 2 - pairs)
        frames: list[NDArray[np.uint8]] = []
        with VideoReader(path) as reader:
            for number, frame in enumerate(reader):
                if number >= start:
                    frames.append(to_grey(frame.rgb))
                if len(frames) > pairs:
                    break
        if len(frames) > 1:
            yield Material(path.stem, np.stack(frames))


def from_truth(folder: Path) -> Iterator[Material]:
    """Middlebury pairs: every folder with frame10.png, frame11.png and flow10.flo."""
    import cv2

    folders = sorted(path.parent for path in folder.rglob("flow10.flo"))
    if not folders:
        raise UserError(f"no folder with frame10.png, frame11.png and flow10.flo under {folder}")
    for place in folders:
        images: list[NDArray[np.uint8]] = []
        for name in ("frame10.png", "frame11.png"):
            image = cv2.imread(str(place / name), cv2.IMREAD_GRAYSCALE)
            if image is None:
                raise UserError(f"{place / name} is missing or damaged")
            images.append(image.astype(np.uint8))
        yield Material(place.name, np.stack(images), read_truth(place / "flow10.flo"))


def read_truth(path: Path) -> NDArray[np.float32]:
    """Middlebury's .flo -> float32 (2, H, W); pixels of unknown flow keep their large values."""
    data = path.read_bytes()
    if data[:4] != b"PIEH":
        raise UserError(f"{path} is not a .flo file")
    width, height = (int(side) for side in np.frombuffer(data, "<i4", 2, 4))
    values = np.frombuffer(data, "<f4", 2 * width * height, 12)
    return values.reshape(height, width, 2).transpose(2, 0, 1)


def lengthen(frames: NDArray[np.uint8], pairs: int) -> NDArray[np.uint8]:
    """The frames forth and back until there are `pairs` pairs: every one real motion."""
    if len(frames) > pairs:
        return frames
    turn = np.concatenate([np.arange(len(frames)), np.arange(len(frames) - 2, 0, -1)])
    return frames[np.resize(turn, pairs + 1)]
