"""Small collections as other tools write them, for the tests of import and export."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

H, W = 24, 32


def codes(pairs: int = 5, seed: int = 0, rest: int = 128) -> NDArray[np.uint8]:
    """(N, 2, H, W) smooth codes of which most are at rest."""
    rng = np.random.default_rng(seed)
    flow = np.full((pairs, 2, H, W), rest, np.uint8)
    for pair in flow:
        for plane in pair:
            top, left = rng.integers(0, (H - 8, W - 8))
            plane[top : top + 8, left : left + 8] = rng.integers(0, 256)
    return flow


def frames(count: int = 6, seed: int = 0) -> NDArray[np.uint8]:
    """(N, H, W, 3) RGB."""
    rng = np.random.default_rng(seed + 1000)
    small = rng.integers(0, 256, (count, 4, 4, 3), np.uint8)
    return np.stack([cv2.resize(s, (W, H), interpolation=cv2.INTER_LINEAR) for s in small])


def encode(picture: NDArray[np.uint8], suffix: str = ".jpg") -> bytes:
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(suffix, picture)
    assert done
    return bytes(data)


def flo_file(flow: NDArray[np.float32]) -> bytes:
    """float32 (2, H, W) as a Middlebury file, which begins with `PIEH`."""
    _, height, width = flow.shape
    head = b"PIEH" + np.array([width, height], "<i4").tobytes()
    return head + np.ascontiguousarray(flow.transpose(1, 2, 0), "<f4").tobytes()


def files_of(
    flow: NDArray[np.uint8],
    rgb: NDArray[np.uint8] | None,
    *,
    base: int = 1,
    names: tuple[str, str, str] = (
        "flow_x_{:05d}.jpg",
        "flow_y_{:05d}.jpg",
        "img_{:05d}.jpg",
    ),
) -> dict[str, bytes]:
    """File name -> bytes of one video."""
    files = {}
    for number, (x, y) in enumerate(flow, base):
        for plane, name in ((x, names[0]), (y, names[1])):
            files[name.format(number)] = encode(plane, Path(name).suffix)
    for number, picture in enumerate(rgb if rgb is not None else [], base):
        files[names[2].format(number)] = encode(picture, Path(names[2]).suffix)
    return files


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def put_zip(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
