"""Small stores whose content is known from the name of the video."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np

from storage import Store, StoreConfig, open_store

RAW = StoreConfig(codec="raw", frame_codec="raw")
H, W = 6, 10


def seed_of(video: str) -> int:
    return crc32(video.encode("utf-8", "surrogatepass"))


def codes(video: str, count: int, size: tuple[int, int] = (H, W)) -> np.ndarray:
    random = np.random.default_rng(seed_of(video))
    return random.integers(0, 256, (count, 2, *size), dtype=np.uint8)


def frames(video: str, count: int, size: tuple[int, int] = (H, W)) -> np.ndarray:
    random = np.random.default_rng(seed_of(video) + 1)
    return random.integers(0, 256, (count, *size, 3), dtype=np.uint8)


def add(
    store: Store, video: str, pairs: int, size: tuple[int, int] = (H, W), replace: bool = False
) -> None:
    with store.write(video, replace) as w:
        flow = codes(video, pairs, size)
        for number, frame in enumerate(frames(video, pairs + 1, size)):
            w.frame(frame)
            w.flow(flow[number : number + 1])
        w.finish(fps=25.0, source={"name": f"{video}.avi"}, engine="test 1")


def check(store: Store, video: str) -> None:
    """The video is all there and as it was made."""
    meta = store.video(video)
    size = (meta.height, meta.width)
    assert meta.frames == meta.pairs + 1
    np.testing.assert_array_equal(
        store.read_flow(video, 0, meta.pairs), codes(video, meta.pairs, size)
    )
    np.testing.assert_array_equal(
        store.read_frames(video, range(meta.frames)), frames(video, meta.frames, size)
    )


def filled(path: Path, videos: dict[str, int], size: tuple[int, int] = (H, W)) -> Store:
    store = open_store(path, "w", RAW)
    for video, pairs in videos.items():
        add(store, video, pairs, size)
    return store
