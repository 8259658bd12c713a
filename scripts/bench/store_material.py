"""What the store is measured on: TV-L1 flow of real clips, or drawn flow without them."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError
from storage.videos import VIDEO_EXTENSIONS

Flow = NDArray[np.float32]
HEIGHT, WIDTH = 256, 340


def real_flow(clips: Path, videos: int, pairs: int) -> Flow:
    """float32 (N, 2, 256, 340): OpenCV's TV-L1 from the middle of clips of different folders."""
    import cv2

    cv2.setNumThreads(1)
    by_folder: dict[Path, Path] = {}
    for path in sorted(clips.rglob("*")):
        if path.suffix.lower() in VIDEO_EXTENSIONS:
            by_folder.setdefault(path.parent, path)
    every = list(by_folder.values())
    if not every:
        raise UserError(f"--clips {clips} holds no videos ({', '.join(sorted(VIDEO_EXTENSIONS))})")
    evenly = np.linspace(0, len(every) - 1, min(videos, len(every))).round().astype(int)
    chosen = [every[number] for number in evenly]
    algorithm = cv2.optflow.createOptFlow_DualTVL1()
    flow = []
    for number, path in enumerate(chosen, 1):
        print(f"  flow {number}/{len(chosen)}: {path.name}", file=sys.stderr)
        grey = middle_frames(path, pairs + 1)
        for before, after in pairwise(grey):
            flow.append(algorithm.calc(before, after, None).transpose(2, 0, 1))
    return np.ascontiguousarray(flow, np.float32)


def middle_frames(path: Path, count: int) -> list[NDArray[np.uint8]]:
    """Grey frames of 340x256 from the middle of a video's first hundred."""
    import cv2

    capture = cv2.VideoCapture(str(path))
    frames: list[NDArray[np.uint8]] = []
    while len(frames) < 100:
        done, frame = capture.read()
        if not done:
            break
        frames.append(np.asarray(frame, np.uint8))
    first = max(0, (len(frames) - count) // 2)
    return [
        np.asarray(cv2.cvtColor(cv2.resize(frame, (WIDTH, HEIGHT)), cv2.COLOR_BGR2GRAY), np.uint8)
        for frame in frames[first : first + count]
    ]


def drawn_flow(count: int, seed: int) -> Flow:
    """float32 (N, 2, 256, 340): still ground, moving discs with soft edges, a little noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    flow = np.zeros((count, 2, HEIGHT, WIDTH), np.float32)
    for pair in flow:
        for _ in range(6):
            y, x, radius = random.uniform(0, HEIGHT), random.uniform(0, WIDTH), 50 * random.random()
            inside = (1 - np.tanh((np.hypot(rows - y, columns - x) - radius) / 4)) / 2
            pair += inside * random.normal(0, 2, (2, 1, 1))
        pair += random.normal(0, 0.02, pair.shape)
    return flow
