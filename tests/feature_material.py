"""Small feature stores, and lists, for everything that learns on features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from streams_tiny import write_tiny_lists

from storage.features import FeatureConfig, open_features

CLASSES = ("RedLeft", "RedRight", "BlueLeft", "BlueRight")
GROUPS = 6


@dataclass(frozen=True)
class Made:
    """Where they lie."""

    rgb: Path
    flow: Path
    maps: Path
    labels: Path


def names() -> list[tuple[str, str]]:
    """(class, video) of all videos."""
    return [(c, f"{c}/v_{c}_g{g:02d}_c01") for c in CLASSES for g in range(1, GROUPS + 1)]


def config(
    name: str, shape: tuple[int, ...], at: str = "pool", weights: str = "w1"
) -> FeatureConfig:
    network = {"kind": "made up", "name": name, "weights": weights}
    return FeatureConfig(shape, at, network, {"every": 1}, dtype="float32")


def write_store(path: Path, made: FeatureConfig, content: dict[str, np.ndarray]) -> Path:
    with open_features(path, "w", made) as store:
        for video, rows in content.items():
            with store.write(video) as writer:
                writer.add(rows)
                writer.finish(range(len(rows)))
    return path


def write_made(folder: Path) -> Made:
    """24 videos of 4 classes, 7 to 12 steps. rgb: the colour is in the mean of feature 0. flow:
    Left and Right differ in the order of steps alone, their means are equal."""
    rng = np.random.default_rng(0)
    rgb, flow, maps = {}, {}, {}
    for name, video in names():
        steps = int(rng.integers(7, 13))
        colour = rng.normal(0, 0.3, (steps, 3))
        colour[:, 0] += 1 if "Red" in name else -1
        rgb[video] = colour
        motion = rng.normal(0, 0.1, (steps + 1, 2))
        ramp = np.linspace(-1, 1, steps + 1)
        motion[:, 0] += ramp if "Left" in name else -ramp
        flow[video] = motion
        maps[video] = rng.normal(0, 0.3, (steps, 4, 2, 3)) + colour[:, :1, None, None]
    write_tiny_lists(folder / "lists")
    return Made(
        write_store(folder / "rgb", config("rgb", (3,)), rgb),
        write_store(folder / "flow", config("flow", (2,)), flow),
        write_store(folder / "maps", config("rgb", (4, 2, 3), "conv5"), maps),
        folder / "lists",
    )
