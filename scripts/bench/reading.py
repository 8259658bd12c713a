"""How long a random stack takes: from a store, and from a folder as denseflow writes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.bench.codecs import two_files
from scripts.bench.store_material import Flow
from storage.codecs import Quantizer
from storage.errors import WorkFailed
from storage.store import (
    NEXT,
    NUMBER,
    Entry,
    Store,
    StoreConfig,
    VideoMeta,
    entry_value,
    open_store,
    shard,
    video_key,
)

Codes = NDArray[np.uint8]
Read = Callable[[str, int, int], Codes]
PAIRS = 40
"""Pairs of each video that is read from."""
ROUND = Quantizer("round")


def videos_of(flow: Flow) -> dict[str, Flow]:
    """Videos of 40 pairs out of the measured pairs, so that stacks can begin anywhere."""
    count = max(1, len(flow) // 8)
    return {
        f"video_{number:03d}": flow[(8 * number + np.arange(PAIRS) % 8) % len(flow)]
        for number in range(count)
    }


def make_store(path: Path, videos: dict[str, Flow], config: StoreConfig, chunk: int = 0) -> Store:
    store = open_store(path, "w", config)
    for video, flow in videos.items():
        with store.write(video) as writer:
            if chunk:
                writer.per_chunk = dict.fromkeys(writer.per_chunk, chunk)
            writer.flow(config.quantizer.quantize(flow))
            writer.finish(fps=25.0)
    store.close()
    return open_store(path)


def make_folder(path: Path, videos: dict[str, Flow]) -> None:
    """VIDEO/flow_x_00001.jpg, flow_y_00001.jpg, ...: quality 95, round rule, bound 20."""
    encode, _ = two_files(95)
    for video, flow in videos.items():
        (path / video).mkdir(parents=True)
        for number, codes in enumerate(ROUND.quantize(flow), 1):
            for axis, data in zip("xy", encode(codes), strict=True):
                (path / video / f"flow_{axis}_{number:05d}.jpg").write_bytes(data)


def folder_reader(path: Path, decode: Callable[[str], Codes]) -> Read:
    """Reads stacks from files, each decoded to grey (H, W) by its name."""

    def read(video: str, start: int, length: int) -> Codes:
        numbers = range(start + 1, start + length + 1)
        names = [[f"{path}/{video}/flow_{axis}_{n:05d}.jpg" for axis in "xy"] for n in numbers]
        return np.stack([[decode(name) for name in pair] for pair in names])

    return read


def folder_by_opencv(path: Path) -> Read:
    import cv2

    return folder_reader(path, lambda name: np.asarray(cv2.imread(name, cv2.IMREAD_GRAYSCALE)))


def folder_by_pillow(path: Path) -> Read:
    from PIL import Image

    return folder_reader(path, lambda name: np.asarray(Image.open(name)))


def check_reading(folder: Path, same: Store, exact: Store, videos: dict[str, Flow]) -> None:
    """The store reads what the folder holds, and what is lossless is."""
    read = folder_by_opencv(folder)
    for video, flow in videos.items():
        if not np.array_equal(read(video, 5, 10), same.read_flow(video, 5, 10)):
            raise WorkFailed(f"{video}: the folder and the store of the same JPEGs differ")
        codes = exact.meta.quantizer.quantize(flow)
        if not np.array_equal(codes, exact.read_flow(video, 0, PAIRS)):
            raise WorkFailed(f"{video}: what was stored without loss came back changed")


def race(
    readers: dict[str, Read], videos: list[str], length: int, rounds: int, seed: int
) -> dict[str, float]:
    """Median milliseconds of a random stack. All readers take turns at the same stacks, three
    times, and the best counts: what else the machine does would fall on the slowest most often."""
    random = np.random.default_rng(seed)
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        video = videos[random.integers(len(videos))]
        start = int(random.integers(PAIRS - length + 1))
        best = dict.fromkeys(readers, np.inf)
        for _ in range(3):
            for name, read in readers.items():
                before = time.perf_counter()
                read(video, start, length)
                best[name] = min(best[name], time.perf_counter() - before)
        for name, value in best.items():
            times[name].append(value)
    return {name: 1e3 * float(np.median(values)) for name, values in times.items()}


def opening(path: Path, count: int) -> dict[str, float]:
    """Milliseconds to open a store of `count` videos, to look one up, and to list all."""
    store = open_store(path, "w", StoreConfig())
    with store.write("first") as writer:
        writer.finish(fps=25.0)
    store.close()
    part = shard.acquire(path / "shards" / "000000")
    source = {"name": "v_ApplyEyeMakeup_g01_c01.avi", "bytes": 283460, "sha256": "0" * 64}

    def fill(txn: shard.Transaction) -> None:
        for number in range(1, count - 1):
            meta = VideoMeta(f"Class/v_{number:06d}", 100, 99, 256, 340, 25.0, source)
            entry = Entry(number, meta, {"frames": 8, "forward": 8})
            txn.put(video_key(meta.video), entry_value(entry), db=part.videos)
        txn.put(NEXT, NUMBER.pack(count), db=part.info)

    part.write(fill)
    shard.release(part)
    (path / "index.log").unlink()
    with open_store(path, "a") as store, store.write("last") as writer:  # it lists them all
        writer.finish(fps=25.0)
    best: dict[str, float] = {}
    for _ in range(5):
        before = time.perf_counter()
        store = open_store(path)
        opened = time.perf_counter()
        store.video(f"Class/v_{count // 2:06d}")
        looked = time.perf_counter()
        listed_count = len(store.videos())
        listed = time.perf_counter()
        store.close()
        if listed_count != count:
            raise WorkFailed(f"{listed_count} videos are listed, {count} were stored")
        now = {"open": opened - before, "first look": looked - opened, "list all": listed - looked}
        best = {name: min(1e3 * value, best.get(name, np.inf)) for name, value in now.items()}
    return best
