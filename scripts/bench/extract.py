"""Measure extraction end to end against the flow engine alone, at 1 and 2 workers.

    twostream bench extract
    twostream bench extract --clips videos/ --engine cpu --workers 1 2 --json
    twostream bench extract --engine simulated:3000 --workers 2

The engine alone: frames in memory, flow thrown away. End to end: the same videos decoded, resized,
computed, quantised, coded and stored with their frames. Both take place in the same worker
processes, in turn, after a check that what is stored is what the engine computed.

With simulated:RATE an engine that knows the flow gives RATE pairs/s in the place of a GPU, and what
the rest sustains is held against the cost of its own work.
"""

from __future__ import annotations

import json
import logging
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flow.extraction import (
    FlowMaker,
    Pool,
    Recipe,
    check_engine,
    engine_processes,
    environments,
    extract_video,
    pairs_of,
)
from flow.video import Resize, probe
from scripts.bench import extract_simulated
from scripts.bench.extract_source import chosen_paths, grey_frames
from scripts.bench.progress import Progress
from scripts.bench.simulated import rate_of
from storage.errors import UserError, WorkFailed
from storage.store import open_store

log = logging.getLogger(__name__)

GOAL = 0.9
"""End to end over the engine alone."""
LIMIT = 240.0
"""Seconds after which no further round begins."""
FEWEST_ROUNDS = 2
"""Rounds that must fit into the time: clips that would make them longer are left out."""


@dataclass(frozen=True)
class ExtractBench:
    """What to measure."""

    clips: str | None = None
    """A folder of videos (default: sample videos that are made for it)."""
    engine: str = "auto"
    """The TV-L1 engine, or simulated:RATE (pairs/s)."""
    size: str = "340x256"
    """Videos are resized to this."""
    workers: tuple[int, ...] = (1, 2)
    """Numbers of processes to measure with."""
    videos: int = 4
    """So many of the clips are used."""
    frames: int = 60
    """Most frames of a sample video."""
    rounds: int = 5
    """Most rounds; none begins after 4 minutes. The median of their ratios counts."""
    json: bool = False
    """Print JSON only."""
    quiet: bool = False
    """Print only the figures; no progress."""


@dataclass(frozen=True)
class Job:
    """One worker's share of a round."""

    what: str
    number: int
    paths: tuple[str, ...]
    recipe: Recipe
    store: str


_frames: dict[str, NDArray[np.uint8]] = {}
"""In a worker: decoded grey frames of each video."""
_makers: dict[Recipe, FlowMaker] = {}


def act(job: Job, progress: Callable[[int], object]) -> tuple[int, float]:
    """In a worker: one pass over all videos; the pairs computed, and the CPU seconds used."""
    began = time.process_time()
    pairs = one_pass(job, progress)
    return pairs, time.process_time() - began


def one_pass(job: Job, progress: Callable[[int], object]) -> int:
    import cv2

    cv2.setNumThreads(1)
    if job.recipe not in _makers:
        _makers[job.recipe] = FlowMaker(job.recipe)
    maker = _makers[job.recipe]
    pairs = 0
    if job.what == "prepare":
        for path in job.paths:
            _frames[path] = grey_frames(path, job.recipe)
    elif job.what == "engine":
        for path in job.paths:
            frames = _frames[path]
            compute = maker.codes if maker.makes_codes else maker.flow
            batch = maker.batch(*frames.shape[1:])
            for start in range(0, len(frames) - 1, batch):
                count = len(pairs_of(compute, frames[start : start + batch + 1], 1))
                progress(count)
                pairs += count
    else:
        with open_store(job.store, "a") as store:
            for i, path in enumerate(job.paths):
                video = f"{job.number} {i}"
                pairs += extract_video(
                    path, video, store, job.recipe, maker=maker, progress=progress
                ).pairs
    return pairs


def run(options: ExtractBench) -> int:
    """Measure, print, and give 1 where the goal is missed."""
    if options.rounds < 1 or not options.workers or min(options.workers) < 1:
        raise UserError("--rounds and --workers must be at least 1")
    rate = rate_of(options.engine)
    if rate is not None:
        return extract_simulated.run(options, rate)
    began = time.monotonic()
    recipe = check_engine(Recipe(resize=Resize.parse(options.size), engine=options.engine))
    with (
        tempfile.TemporaryDirectory(prefix="twostream-bench-") as folder,
        Progress("bench extract", LIMIT, options.quiet) as progress,
    ):
        paths = chosen_paths(options.clips, options.videos, options.frames, Path(folder))
        log.info(f"checking that what is stored of {paths[0]} is what the engine computes ...")
        pace = check_stored_flow(paths[0], recipe, Path(folder) / "check")
        lengths = [max(1, probe(path).frames - 1) for path in paths]
        fewest = len(options.workers) * (2 + 2 * min(FEWEST_ROUNDS, options.rounds))
        count = fitting(lengths, (began + LIMIT - time.monotonic()) / fewest / pace)
        if count < len(paths):
            log.info(f"{count} of the {len(paths)} videos are used; more would take too long")
        paths = paths[:count]
        progress.start(len(options.workers) * (2 + 2 * options.rounds) * sum(lengths[:count]))
        results = []
        for number, size in enumerate(options.workers):
            now = time.monotonic()
            share = (began + LIMIT - now) / (len(options.workers) - number)
            bench = SideBySide(size, paths, recipe, Path(folder), progress)
            results.append(bench.measure(options.rounds, until=now + share))
            pairs = bench.pairs // size
    report = {
        "engine": FlowMaker(recipe).engine,
        "size": options.size,
        "videos": len(paths),
        "pairs": pairs,
        "equal": True,
        "goal": GOAL,
        "results": results,
    }
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print(f"{report['engine']}, {len(paths)} videos, {pairs} pairs of {options.size}; "
              "stored flow equals the engine's")  # fmt: skip
        for row in results:
            print(
                f"{row['workers']} workers: engine alone {row['engine_pairs_per_second']:.1f} "
                f"pairs/s, end to end {row['extract_pairs_per_second']:.1f}: "
                f"{row['ratio']:.1%} (rounds {row['lowest']:.1%} to {row['highest']:.1%}); "
                f"{row['cpu_ratio']:.1%} of the CPU time is the engine's"
            )
    return 0 if all(row["ratio"] >= GOAL for row in results) else 1


def fitting(lengths: Sequence[int], pairs: float) -> int:
    """How many of the first videos, of so many pairs each, have `pairs` together; at least 1."""
    count = 1
    while count < len(lengths) and sum(lengths[: count + 1]) <= pairs:
        count += 1
    return count


def check_stored_flow(path: str, recipe: Recipe, out: Path) -> float:
    """Extract a video losslessly and compare with the engine's flow; seconds a pair took."""
    exact = replace(recipe, codec="raw")
    maker = FlowMaker(exact)
    grey = grey_frames(path, exact)
    quantize = exact.quantizer.quantize
    codes = maker.codes(grey) if maker.makes_codes else quantize(maker.flow(grey))
    with open_store(out, "w", exact.config()) as store:
        began = time.monotonic()
        pairs = extract_video(path, "0", store, exact, maker=maker).pairs
        seconds = time.monotonic() - began
        if not np.array_equal(codes, store.read_flow("0", 0, pairs)):
            raise WorkFailed(f"{path}: stored flow differs from the engine's")
    return seconds / pairs


class SideBySide:
    """Both sides in turn, `size` workers at once, each with all the videos."""

    def __init__(
        self, size: int, paths: tuple[str, ...], recipe: Recipe, folder: Path, progress: Progress
    ) -> None:
        self.size, self.paths, self.recipe, self.progress = size, paths, recipe, progress
        self.store = str(folder / f"store{size}")
        open_store(self.store, "w", recipe.config()).close()
        self.passes = self.pairs = 0

    def measure(self, rounds: int, until: float) -> dict[str, float]:
        """Up to so many rounds; at least one, and none that would end after `until`."""
        wall: dict[str, list[float]] = {"engine": [], "extract": []}
        cpu: dict[str, list[float]] = {"engine": [], "extract": []}
        with (
            engine_processes(self.recipe) as engines,
            Pool(self.size, environments(engines)) as pool,
        ):
            for what in ("prepare", "engine", "extract"):  # starts, compiles, opens files
                self.run_pass(pool, what)
            longest = 0.0
            for number in range(rounds):
                began = time.monotonic()
                if number and began + longest > until:
                    self.progress.skip((rounds - number) * 2 * self.pairs / self.size)
                    log.info(f"{number} of {rounds} rounds with {self.size} workers: time is up")
                    break
                # Which side is first changes, so that a machine that slows down favours neither.
                for what in ("engine", "extract")[:: 1 if number % 2 else -1]:
                    seconds, used = self.run_pass(pool, what)
                    wall[what].append(seconds)
                    cpu[what].append(used)
                longest = max(longest, time.monotonic() - began)
        ratios = ratios_of(wall)
        return {
            "workers": self.size,
            "engine_pairs_per_second": self.pairs / statistics.median(wall["engine"]),
            "extract_pairs_per_second": self.pairs / statistics.median(wall["extract"]),
            "ratio": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
            # What the ratio cannot fall below, however busy the cores are.
            "cpu_ratio": statistics.median(ratios_of(cpu)),
        }

    def run_pass(self, pool: Pool, what: str) -> tuple[float, float]:
        """All workers once over all videos: seconds, and seconds of the processors."""
        self.passes += 1
        first = self.passes * self.size
        jobs = deque(
            Job(what, first + i, self.paths, self.recipe, self.store) for i in range(self.size)
        )
        self.pairs, used = 0, 0.0
        began = time.perf_counter()
        for event in pool.run(lambda: jobs.popleft() if jobs else None, act):
            if event.kind == "progress":
                self.progress.add(event.value / self.size)
            elif event.kind == "done":
                self.pairs += event.value[0]
                used += event.value[1]
            else:
                raise WorkFailed(f"the measurement failed: {event.kind} {event.value}")
        return time.perf_counter() - began, used


def ratios_of(times: dict[str, list[float]]) -> list[float]:
    """End to end over the engine alone, round by round."""
    return [a / b for a, b in zip(times["engine"], times["extract"], strict=True)]
