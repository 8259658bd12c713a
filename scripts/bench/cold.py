"""Reading from the disk: a random stack, or a frame, when nothing of it is in memory.

Beside the store stand files of the same bytes, one an item, and one read of as many bytes at once,
which is what a disk can do. Before each turn the pages of all files are dropped; what a reader
itself remembers (the upper pages of the store's tree) stays, as it does in a training, and so do
the names of the files in the system's memory. Decoding is left out: it is the same everywhere.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scripts.bench.reading import PAIRS
from scripts.bench.store_material import Flow
from scripts.bench.train_material import landscape
from storage.errors import UserError, WorkFailed
from storage.store import Store, StoreConfig, open_store

Turn = Callable[[str, int], list[bytes]]
ITEMS = {"forward": 10, "frames": 1}
"""Kind -> how many are read at once."""
NAMES = {"forward": "10 pairs", "frames": "1 frame"}


@dataclass
class ColdRow:
    """What one way of reading took, turn by turn."""

    what: str
    reader: str
    wanted: int = 0
    """Bytes of the items, all turns together."""
    disk: int = 0
    """Bytes that came from the disk for them."""
    clock: list[float] = field(default_factory=list)
    """Milliseconds."""
    processor: float = 0.0
    """Milliseconds, all turns together."""

    def figures(self) -> dict[str, float | str]:
        turns = len(self.clock)
        return {
            "what": self.what,
            "reader": self.reader,
            "bytes": self.wanted / turns,
            "read": self.disk / self.wanted,
            "ms": float(np.median(self.clock)),
            "tenth_ms": float(np.quantile(self.clock, 0.1)),
            "cpu_ms": self.processor / turns,
        }


def cold_table(flow: Flow, folder: Path, turns: int, seed: int) -> list[ColdRow]:
    """Make a store and files in `folder`, which must lie on a disk, and read them."""
    store = write_store(folder / "store", flow)
    random = np.random.default_rng(seed)
    rows = []
    for kind in ITEMS:
        files = write_files(folder / kind, store, kind)
        rows += take_turns(store, kind, files, folder, turns, random)
    store.close()
    return rows


def write_store(path: Path, flow: Flow) -> Store:
    """Videos of 40 pairs and 41 frames, by the default codecs."""
    config = StoreConfig()
    _, _, height, width = flow.shape
    rng = np.random.default_rng(0)
    with open_store(path, "w", config) as store:
        for number in range(max(4, len(flow) // 4)):
            scene = landscape(height, width + PAIRS + 1, rng)
            some = flow[(4 * number + np.arange(PAIRS) % 8) % len(flow)]
            with store.write(f"video_{number:03d}") as writer:
                for t in range(PAIRS + 1):
                    writer.frame(np.ascontiguousarray(scene[:, t : t + width]))
                writer.flow(config.quantizer.quantize(some))
                writer.finish(fps=25.0)
    return open_store(path)


def write_files(folder: Path, store: Store, kind: str) -> Path:
    """The items of a kind, a file each: VIDEO/000000.jpg."""
    for video in store.videos():
        (folder / video).mkdir(parents=True)
        count = store.video(video).items(kind)
        for number, item in enumerate(store.read_encoded(video, kind, 0, count)):
            (folder / video / f"{number:06d}.jpg").write_bytes(item)
    return folder


def take_turns(
    store: Store, kind: str, files: Path, folder: Path, turns: int, random: np.random.Generator
) -> list[ColdRow]:
    """All read the same items in turns, in an order that changes."""
    count = ITEMS[kind]
    blob = folder / f"{kind}.bytes"
    blob.write_bytes(b"".join(path.read_bytes() for path in sorted(files.rglob("*.jpg"))))
    everything = [*folder.rglob("*.jpg"), *folder.rglob("data.mdb"), blob]
    os.sync()

    def from_files(video: str, first: int) -> list[bytes]:
        return [(files / video / f"{first + k:06d}.jpg").read_bytes() for k in range(count)]

    def from_store(video: str, first: int) -> list[bytes]:
        return store.read_encoded(video, kind, first, count)

    videos = store.videos()
    with closing(OneRead(blob, random)) as one_read:
        readers: dict[str, Turn] = {
            "store": from_store,
            "files": from_files,
            "one read": one_read,
        }
        rows = {name: ColdRow(NAMES[kind], name) for name in readers}
        for _ in range(turns):
            video = videos[random.integers(len(videos))]
            first = int(random.integers(store.video(video).items(kind) - count + 1))
            expected = from_files(video, first)
            one_read.size = sum(map(len, expected))
            for name in random.permutation(list(readers)):
                drop(everything)
                row = rows[name]
                before, busy, began = bytes_read(), time.process_time(), time.perf_counter()
                items = readers[name](video, first)
                row.clock.append(1e3 * (time.perf_counter() - began))
                row.processor += 1e3 * (time.process_time() - busy)
                row.disk += bytes_read() - before
                row.wanted += one_read.size
                if name != "one read" and items != expected:
                    raise WorkFailed(f"{name} and files differ; nothing is shown")
    if not rows["one read"].disk:
        raise UserError(
            f"{folder} is not on a disk whose reading the system counts; --folder names another"
        )
    return list(rows.values())


class OneRead:
    """As many bytes from one file at once, from anywhere in it."""

    def __init__(self, path: Path, random: np.random.Generator) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._length, self._random = path.stat().st_size, random
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_RANDOM)
        self.size = 0

    def close(self) -> None:
        os.close(self._file)

    def __call__(self, video: str, first: int) -> list[bytes]:
        at = int(self._random.integers(max(1, self._length - self.size)))
        return [os.pread(self._file, self.size, at)]


def drop(paths: list[Path]) -> None:
    """Out of the system's memory, as far as no process has them mapped."""
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def bytes_read() -> int:
    """From disks, by this process."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def show_cold(rows: list[ColdRow]) -> None:
    print("nothing in memory. read: bytes from the disk over those of the items; ms by the clock,")
    print("the median, and what a tenth of the turns stays below (other work on the machine delays")
    print("whoever waits); that over one read's; milliseconds of the processor\n")
    print(
        f"{'':<10} {'reader':<10} {'bytes':>8} {'read':>6} {'median':>8} {'tenth':>8} "
        f"{'over':>6} {'CPU':>7}"
    )
    least = {row.what: row.figures()["tenth_ms"] for row in rows if row.reader == "one read"}
    for row in rows:
        f = row.figures()
        print(
            f"{row.what:<10} {row.reader:<10} {f['bytes']:>8.0f} {f['read']:>6.2f} "
            f"{f['ms']:>8.3f} {f['tenth_ms']:>8.3f} "
            f"{float(f['tenth_ms']) / float(least[row.what]):>6.1f} {f['cpu_ms']:>7.3f}"
        )
