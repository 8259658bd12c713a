"""A small data set to measure training on: drawn flow, and frames as detailed as real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.bench.store_material import drawn_flow
from storage.store import StoreConfig, open_store

CLASSES = ("Left", "Right")
GROUPS, FRAMES = 12, 31


def write_bench_data(folder: Path, height: int, width: int, codec: str) -> tuple[Path, Path]:
    """A store of 24 videos and its lists, as UCF-101 writes them."""
    store, lists = folder / "store", folder / "lists"
    config = StoreConfig(codec=codec, size=f"{width}x{height}")
    flow = drawn_flow(2 * (FRAMES - 1), seed=0)[:, :, :height, :width]
    rng = np.random.default_rng(0)
    lines: dict[str, list[str]] = {"train": [], "test": []}
    with open_store(store, "w", config) as opened:
        for number, name in enumerate(CLASSES, 1):
            for group in range(1, GROUPS + 1):
                video = f"{name}/v_{name}_g{group:02d}_c01"
                scene = landscape(height, width + FRAMES, rng)
                codes = config.quantizer.quantize(flow[number - 1 :: 2])
                with opened.write(video) as writer:
                    for t in range(FRAMES):
                        writer.frame(np.ascontiguousarray(scene[:, t : t + width]))
                    writer.flow(codes)
                    writer.finish(fps=25)
                part, tail = ("test", "") if group == 1 else ("train", f" {number}")
                lines[part].append(f"{video}.avi{tail}")
    lists.mkdir()
    rows = [f"{number} {name}" for number, name in enumerate(CLASSES, 1)]
    (lists / "classInd.txt").write_text("\n".join(rows) + "\n")
    for part, listed in lines.items():
        (lists / f"{part}list01.txt").write_text("\n".join(listed) + "\n")
    return store, lists


def landscape(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) with detail at every scale, as photographs have it."""
    picture = np.zeros((height, width, 3))
    for level in range(6):
        cells = 2**level + 2
        coarse = rng.normal(0, 60 / (level + 1), (cells, cells, 3))
        rows = np.linspace(0, cells - 1.001, height)
        columns = np.linspace(0, cells - 1.001, width)
        picture += coarse[rows.astype(int)][:, columns.astype(int)]
    picture += rng.normal(0, 4, picture.shape)
    return np.clip(128 + picture, 0, 255).astype(np.uint8)
