"""A tiny store of known content and its lists, for everything that trains."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from surroundings import ROOT

from storage.codecs.quantize import Quantizer
from storage.store.config import StoreConfig
from storage.store.store import open_store

APPEARANCES = ("Red", "Blue")
MOTIONS = ("Left", "Right")
GROUPS, FRAMES, HEIGHT, WIDTH = 6, 9, 32, 40


@dataclass(frozen=True)
class Tiny:
    """Where the tiny data set lies."""

    store: Path
    labels: Path


def write_tiny_store(folder: Path, config: StoreConfig) -> None:
    """24 videos of 4 classes: the frames' colour is the appearance, the flow's sign the motion."""
    rng = np.random.default_rng(0)
    with open_store(folder, "w", config) as store:
        for appearance in APPEARANCES:
            for motion in MOTIONS:
                for group in range(1, GROUPS + 1):
                    name = appearance + motion
                    colour = (200, 60, 60) if appearance == "Red" else (60, 60, 200)
                    noise = rng.integers(-20, 20, (FRAMES, HEIGHT, WIDTH, 3))
                    frames = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                    speed = 2.0 if motion == "Right" else -2.0
                    flow = rng.normal(0, 0.3, (FRAMES - 1, 2, HEIGHT, WIDTH))
                    flow[:, 0] += speed
                    with store.write(f"{name}/v_{name}_g{group:02d}_c01") as writer:
                        for frame in frames:
                            writer.frame(frame)
                        if config.fields and config.codec != "none":
                            for field in config.fields:
                                writer.flow(config.quantizer.quantize(flow), field)
                        writer.finish(fps=25)


def write_tiny_lists(folder: Path, test_groups: tuple[int, ...] = (1, 2)) -> None:
    """As UCF-101's, split 1."""
    folder.mkdir(parents=True, exist_ok=True)
    classes = [a + m for a in APPEARANCES for m in MOTIONS]
    lines = {"train": [], "test": []}  # type: dict[str, list[str]]
    for number, name in enumerate(classes, 1):
        for group in range(1, GROUPS + 1):
            path = f"{name}/v_{name}_g{group:02d}_c01.avi"
            if group in test_groups:
                lines["test"].append(path)
            else:
                lines["train"].append(f"{path} {number}")
    rows = [f"{number} {name}" for number, name in enumerate(classes, 1)]
    (folder / "classInd.txt").write_text("\n".join(rows) + "\n")
    for part, listed in lines.items():
        (folder / f"{part}list01.txt").write_text("\n".join(listed) + "\n")


def write_tiny(folder: Path, config: StoreConfig | None = None) -> Tiny:
    config = config or StoreConfig(
        quantizer=Quantizer("round"), codec="raw", frame_codec="raw", fingerprint="made up"
    )
    write_tiny_store(folder / "store", config)
    write_tiny_lists(folder / "lists")
    return Tiny(folder / "store", folder / "lists")


def start(arguments: list[str], launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """`twostream ARGUMENTS` as a process of its own, perhaps started by torchrun."""
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "scripts", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
