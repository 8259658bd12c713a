"""What the artefacts of `tests/kept` hold, by formulas that need no random numbers of NumPy's."""

from __future__ import annotations

import base64
import io
import lzma
import tarfile
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

KEPT = Path(__file__).parent / "kept"
HEIGHT, WIDTH, FRAMES = 24, 32, 4
FIELDS = ("forward", "backward", "warped")
CLASSES = ("Jump", "Turn")
LONG = "Turn/" + "n" * 520
"""An id whose key is a hash."""
STORED = ("Jump/v_Jump_g01_c01", "Jump/v_Jump_g02_c01", "Turn/v_Turn_g01_c01", LONG)
KEPT_STORES = {"lossless": 4, "coded": 1, "files": 1}
"""Store -> how many of these videos it holds."""
TABLE_VIDEOS = ("Jump/a.b", "Jump/b", "Turn/ä", "Turn/d, e", "Turn/\u4e2d")


def wave(n: NDArray[np.int64], half: int) -> NDArray[np.int64]:
    """A triangle between 0 and `half`."""
    return np.abs(n % (2 * half) - half)


def kept_codes(video: str, field: str) -> NDArray[np.uint8]:
    """uint8 (FRAMES - 1, 2, HEIGHT, WIDTH)."""
    seed, kind = crc32(video.encode()) % 97, FIELDS.index(field)
    pair, axis, y, x = np.indices((FRAMES - 1, 2, HEIGHT, WIDTH))
    values = 110 + wave(x + 2 * y + 5 * pair + 11 * axis + 17 * kind + seed, 40)
    return values.astype(np.uint8)


def kept_frames(video: str) -> NDArray[np.uint8]:
    """uint8 (FRAMES, HEIGHT, WIDTH, 3)."""
    seed = crc32(video.encode()) % 89
    frame, y, x, colour = np.indices((FRAMES, HEIGHT, WIDTH, 3))
    values = 40 + wave(3 * x + y + 7 * frame + 50 * colour + seed, 150)
    return values.astype(np.uint8)


def kept_labels() -> NDArray[np.int64]:
    return np.array([0, 0, 1, 1, 1])


def kept_scores() -> NDArray[np.float32]:
    row, column = np.indices((len(TABLE_VIDEOS), len(CLASSES)))
    return ((7 * row - 5 * column * row + column - 3) / np.float32(8)).astype(np.float32)


def kept_features() -> NDArray[np.float32]:
    row, column = np.indices((len(TABLE_VIDEOS), 3))
    return ((row * row - column) / np.float32(4)).astype(np.float32)


KEPT_GROUPS = ("g1", "g2", "g1", "g2", "g3")
KEPT_PROVENANCE = {"run": "runs/jump", "views": "25x10", "nested": {"list": [1, 2.5, None]}}


def filling(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Values of a network's tensor, from its name: what the kept runs' weights are."""
    # RandomState is frozen for ever; default_rng is not.
    random = np.random.RandomState(crc32(name.encode()))
    normal = np.asarray(random.standard_normal(shape))
    if name.endswith("num_batches_tracked"):
        return np.full(shape, 2.0)
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return 1 + 0.1 * np.abs(normal)
    scale = 0.1 if len(shape) < 2 else np.sqrt(2 / np.prod(shape[1:]))
    return np.asarray(scale * normal)


def unpack(name: str, folder: Path) -> Path:
    """`tests/kept/NAME.txt`, the base64 of a tar.xz, as files in `folder`."""
    packed = base64.b64decode((KEPT / f"{name}.txt").read_text("ascii"))
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(packed))) as tar:
        tar.extractall(folder, filter="data")
    return folder
