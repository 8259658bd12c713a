"""Measure a store of many shards and writers: looking up, adding, failing, starting a job.

    twostream bench shards
    twostream bench shards --shards 1 100 400 --writers 1 8
    twostream bench shards --files 300000

Every shard is live, as if its writer had just ended: the dearest case. Videos are tiny, so that
what is timed is the store's own work; each is on the disk when it counts. At the end all that was
added is read and must be there.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flow.extraction import Failure, record_failures
from storage.errors import WorkFailed
from storage.store import Store, StoreConfig, open_store, sealing, verify

log = logging.getLogger(__name__)
CONFIG = StoreConfig(codec="raw", frame_codec="none")
FLOW = np.full((4, 2, 32, 48), 128, np.uint8)
SPAWN = multiprocessing.get_context("spawn")


@dataclass
class ShardsBench:
    """What is measured."""

    shards: tuple[int, ...] = (1, 100, 400)
    """Numbers of shards to look up in and to add to."""
    writers: tuple[int, ...] = (1, 8)
    """Numbers of processes that add at once."""
    rounds: int = 50
    """Look-ups and additions, of which the median counts."""
    seconds: float = 5.0
    """How long the writers add."""
    failures: int = 10_000
    """Failures on record when one more is added."""
    files: int | None = None
    """Empty files among which job 1 of 100 looks for its first video (default: not measured)."""
    json: bool = False
    """Print JSON."""
    quiet: bool = field(default=False)
    """No progress."""


def run(options: ShardsBench) -> int:
    """Measure and print."""
    results: dict[str, Any] = {"look-up": {}, "additions a second": {}}
    with tempfile.TemporaryDirectory() as name:
        for count in options.shards:
            log.info(f"{count} shards ...")
            results["look-up"][str(count)] = look_up(Path(name) / f"{count}", count, options.rounds)
        for count in options.writers:
            log.info(f"{count} writers ...")
            rate = additions(Path(name) / f"writers {count}", count, options.seconds)
            results["additions a second"][str(count)] = rate
        results["failures"] = failing(Path(name), options.failures, options.rounds)
        if options.files:
            log.info(f"{options.files:,} files ...")
            results["first video, s"] = first_video(Path(name), options.files)
    if options.json:
        print(json.dumps(results, indent=2))
        return 0
    print(f"{'shards':>8} {'first look':>11} {'look-up':>9} {'absent':>9} {'addition':>9}  ms")
    for count, row in results["look-up"].items():
        print(f"{count:>8} {row['first look']:>11.2f} {row['look-up']:>9.4f} {row['absent']:>9.4f} "
              f"{row['addition']:>9.2f}")  # fmt: skip
    for count, rate in results["additions a second"].items():
        print(f"{rate:,.0f} additions a second by {count} writers")
    for what, value in results["failures"].items():
        print(f"{value:.3f} ms {what}, {options.failures:,} on record")
    if options.files:
        print(f"{results['first video, s']:.1f} s until job 1 of 100 had stored a video, among "
              f"{options.files:,} files")  # fmt: skip
    return 0


def add_video(store: Store, video: str) -> None:
    with store.write(video) as writer:
        writer.flow(FLOW)
        writer.finish(fps=25.0)


def make_shards(path: Path, count: int) -> None:
    """A store of so many live shards, a video in each."""
    size, sealing.SHARD_BYTES = sealing.SHARD_BYTES, 1
    try:
        with open_store(path, "w", CONFIG) as store:
            for number in range(count):
                add_video(store, f"Class/v_{number:06d}")
    finally:
        sealing.SHARD_BYTES = size
    for seal in path.glob("shards/*/sealed.json"):
        seal.unlink()
    if len(list(path.glob("shards/*"))) != count:
        raise WorkFailed(f"{path} has not {count} shards")


def look_up(path: Path, count: int, rounds: int) -> dict[str, float]:
    """Milliseconds, medians, of a store of `count` shards."""
    make_shards(path, count)
    times: dict[str, list[float]] = {"first look": [], "look-up": [], "absent": [], "addition": []}

    def timed(what: str, work: Any) -> None:
        before = time.perf_counter()
        work()
        times[what].append(1e3 * (time.perf_counter() - before))

    for _ in range(min(rounds, 10)):
        with open_store(path) as reader:
            timed("first look", lambda reader=reader: reader.video(f"Class/v_{count - 1:06d}"))
    with open_store(path, "a") as store, open_store(path) as reader:
        add_video(store, "first")
        for number in range(rounds):
            timed("look-up", lambda: f"Class/v_{count // 2:06d}" in reader)
            timed("absent", lambda: "nobody" in reader)
            timed("addition", lambda number=number: add_video(store, f"new {number}"))
    check_added(path, count + rounds + 1)
    return {what: float(np.median(values)) for what, values in times.items()}


def check_added(path: Path, count: int) -> None:
    """All is there and whole."""
    report = verify(path)
    if report.damaged or report.videos != count:
        raise WorkFailed(f"{path}: {report.videos} videos are whole, {count} were added")


def add_for(path: Path, name: str, begin: Any, seconds: float, queue: Any) -> None:
    with open_store(path, "a") as store:
        add_video(store, f"{name} first")
        begin.wait()
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            add_video(store, f"{name} {number}")
            number += 1
    queue.put(number)


def additions(path: Path, writers: int, seconds: float) -> float:
    """Videos a second that so many processes add at once."""
    open_store(path, "w", CONFIG).close()
    begin, queue = SPAWN.Barrier(writers), SPAWN.Queue()
    children = [
        SPAWN.Process(target=add_for, args=(path, f"w{n}", begin, seconds, queue))
        for n in range(writers)
    ]
    for child in children:
        child.start()
    total = sum(queue.get(timeout=600) for _ in children)
    for child in children:
        child.join()
    check_added(path, total + writers)
    return total / seconds


def failing(path: Path, count: int, rounds: int) -> dict[str, float]:
    """Milliseconds of one more failure, and of a success, when so many are on record."""
    record_failures(path, [Failure(f"v{n}", f"v{n}.avi", "damaged", "") for n in range(count)])
    times: dict[str, list[float]] = {"a failure": [], "a success": []}
    for number in range(rounds):
        for what, failures, settled in (
            ("a failure", [Failure(f"n{number}", "n.avi", "damaged", "")], []),
            ("a success", [], [f"m{number}"]),
        ):
            before = time.perf_counter()
            record_failures(path, failures, settled)
            times[what].append(1e3 * (time.perf_counter() - before))
    return {what: float(np.median(values)) for what, values in times.items()}


def first_video(path: Path, files: int) -> float:
    """Seconds from the start of job 1 of 100 to its first video in the store."""
    videos, out = path / "videos", path / "out"
    for number in range(files):
        folder = videos / f"class {number // 1000:04d}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        os.close(os.open(folder / f"v_{number:06d}.avi", os.O_CREAT | os.O_WRONLY))
    from scripts.samples import SampleData, make_sample_data  # a page of help needs no OpenCV

    make_sample_data(
        path / "real", SampleData(appearances=2, motions=2, groups=6, clips=1, frames=16)
    )
    clip = next((path / "real").rglob("*.avi"))
    for number in range(600):  # so that some of them are the first job's
        shutil.copy(clip, videos / f"real_{number:03d}.avi")
    words = [str(videos), "--out", str(out), "--flow", "dis", "--shard", "1/100", "--quiet"]
    began = time.monotonic()
    job = subprocess.Popen(
        [sys.executable, "-m", "twostream", "extract", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (out / "index.log").exists() or b" + " not in (out / "index.log").read_bytes():
            if job.poll() is not None:
                raise WorkFailed("the job ended before it stored a video")
            time.sleep(0.05)
        return time.monotonic() - began
    finally:
        job.terminate()
        job.wait()
