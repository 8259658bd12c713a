"""The videos that extraction is measured on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flow.extraction import Recipe, Source
from flow.video import find_videos


def chosen_paths(clips: str | None, videos: int, frames: int, folder: Path) -> tuple[str, ...]:
    """Paths of so many of the clips, evenly spread; without clips, sample videos are made."""
    if clips is None:
        from scripts.samples import SampleData, make_sample_data

        few = SampleData(appearances=2, motions=2, groups=2, clips=1)
        make_sample_data(folder / "sample", replace(few, frames=frames, width=340, height=256))
    files, _ = find_videos([clips or str(folder / "sample")])
    paths = tuple(file.path for file in files[:: max(1, len(files) // videos)])
    return paths[:videos]


def grey_frames(path: str, recipe: Recipe) -> NDArray[np.uint8]:
    """uint8 (N, H, W): all frames of a video, as its flow is computed of them."""
    return np.stack([picture.grey for picture in Source(path, recipe).pictures()])
