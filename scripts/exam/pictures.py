"""A question as a small moving picture: two videos of different classes, frames above flow."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.exam.sitting import Sitting
from storage.codecs import flow_to_rgb
from storage.store import open_store

TILE = 112
"""Side of one picture, pixels."""
GAP = 4
MOST = 44
"""Moments that are shown of a video, at most; of a longer one every second, third ..."""
PACE = 110
"""Milliseconds a moment."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Film:
    """Two videos side by side."""

    uri: str
    """An animated WebP as a data: address."""
    still: str
    """One moment of it, for those who want nothing to move, and for paper."""
    classes: tuple[str, str]
    fastest: float
    """Pixels a frame that have the wheel's full colour."""
    width: int
    height: int


def film(sitting: Sitting) -> Film:
    """The first two test videos of one family and of different classes."""
    classes = sitting.question.classes
    videos = two_videos(sitting)
    with open_store(sitting.store) as store:
        pairs = min(store.video(video).pairs for video in videos)
        step = -(-pairs // MOST)
        at = list(range(0, pairs, step))
        frames = [store.read_frames(video, at) for video in videos]
        fields = [
            store.meta.quantizer.dequantize(store.read_flow(video, 0, pairs)[at])
            for video in videos
        ]
    fastest = max(float(np.quantile(np.hypot(f[:, 0], f[:, 1]), 0.97)) for f in fields)
    flows = [flow_to_rgb(field, max(fastest, 1e-3)) for field in fields]
    moments = [montage([f[i] for f in frames], [f[i] for f in flows]) for i in range(len(at))]
    names = tuple(classes[label_of(sitting, video)] for video in videos)
    height, width = moments[0].shape[:2]
    middle = len(moments) // 2
    return Film(
        webp(moments, PACE * min(step, 2)),
        webp(moments[middle : middle + 1], 0),
        (names[0], names[1]),
        fastest,
        width,
        height,
    )


def two_videos(sitting: Sitting) -> tuple[str, str]:
    """Of the first family of the test part: its first video, and the last of another class."""
    twins = json.loads((sitting.lists / "twins.json").read_text("utf-8"))
    family = (twins["test"]["pairs"] or twins["test"]["families"])[0]
    first = family[0]
    others = [video for video in family if video.split("/")[0] != first.split("/")[0]]
    return first, others[-1]


def label_of(sitting: Sitting, video: str) -> int:
    return sitting.question.classes.index(video.split("/")[0])


def montage(frames: Sequence[Bytes], flows: Sequence[Bytes]) -> Bytes:
    """(2 TILE + GAP, 2 TILE + GAP, 4): a column a video; the gap is transparent."""
    side = 2 * TILE + GAP
    picture = np.zeros((side, side, 4), np.uint8)
    for row, tiles in enumerate((frames, flows)):
        for column, tile in enumerate(tiles):
            y, x = row * (TILE + GAP), column * (TILE + GAP)
            picture[y : y + TILE, x : x + TILE, :3] = resized(tile)
            picture[y : y + TILE, x : x + TILE, 3] = 255
    return picture


def resized(tile: Bytes) -> Bytes:
    import cv2

    larger = cv2.INTER_CUBIC if tile.shape[0] < TILE else cv2.INTER_AREA
    return np.asarray(cv2.resize(tile, (TILE, TILE), interpolation=larger), np.uint8)


def webp(moments: Sequence[Bytes], pace: int) -> str:
    """RGBA pictures as a data: address."""
    from PIL import Image

    pictures = [Image.fromarray(moment) for moment in moments]
    body = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:], "duration": pace, "loop": 0}
    pictures[0].save(body, "WEBP", quality=50, method=4, **(more if len(pictures) > 1 else {}))
    return "data:image/webp;base64," + base64.b64encode(body.getvalue()).decode("ascii")


def wheel(size: int = 80) -> str:
    """The colours of all directions, as a data: address."""
    at = np.linspace(-1, 1, size)
    field = np.stack(np.broadcast_arrays(at[None, :], at[:, None]))
    inside = np.hypot(field[0], field[1]) <= 1
    picture = np.dstack([flow_to_rgb(field, 1.0), 255 * inside.astype(np.uint8)])
    return webp([picture], 0)


def is_there(sitting: Sitting) -> bool:
    """Whether its store can be looked at."""
    return sitting.store.exists() and (sitting.lists / "twins.json").exists()
