"""Measure extraction end to end against the flow engine alone, at 1 and 2 workers.

    twostream bench extract
    twostream bench extract --clips videos/ --engine cpu --workers 1 2 --json

The engine alone: frames in memory, flow thrown away. End to end: the same videos decoded, resized,
computed, quantised, coded and stored with their frames. Both take place in the same worker
processes, in turn, after a check that what is stored is what the engine computed.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flow.extraction import (
    Crew,
    FlowMaker,
    Recipe,
    Source,
    check_engine,
    crew_size,
    extract_video,
    pairs_of,
)
from flow.video import Resize, find_videos
from storage.errors import UserError, WorkFailed
from storage.store import open_store

GOAL = 0.9
"""End to end over the engine alone."""


@dataclass(frozen=True)
class ExtractBench:
    """What to measure."""

    clips: str | None = None
    """A folder of videos (default: sample videos that are made for it)."""
    engine: str = "auto"
    """The TV-L1 engine."""
    size: str = "340x256"
    """Videos are resized to this."""
    workers: tuple[int, ...] = (1, 2)
    """Numbers of processes to measure with."""
    videos: int = 4
    """So many of the clips are used."""
    frames: int = 60
    """Most frames of a sample video."""
    rounds: int = 5
    """Each side is timed so often, in turn; the median of the ratios counts."""
    json: bool = False
    """Print JSON only."""


@dataclass(frozen=True)
class Job:
    """One worker's share of a round."""

    what: str
    number: int
    paths: tuple[str, ...]
    recipe: Recipe
    store: str


_frames: dict[str, Any] = {}
"""In a worker: decoded grey frames of each video."""
_makers: dict[Recipe, FlowMaker] = {}


def act(job: Job, progress: Callable[[int], object]) -> tuple[int, float]:
    """In a worker: one pass over all videos; the pairs computed, and the CPU seconds used."""
    began = time.process_time()
    pairs = one_pass(job)
    return pairs, time.process_time() - began


def one_pass(job: Job) -> int:
    import cv2

    cv2.setNumThreads(1)
    maker = _makers.setdefault(job.recipe, FlowMaker(job.recipe))
    pairs = 0
    if job.what == "prepare":
        for path in job.paths:
            pictures = Source(path, job.recipe).pictures()
            _frames[path] = np.stack([picture.grey for picture in pictures])
    elif job.what == "engine":
        for path in job.paths:
            frames = _frames[path]
            compute = maker.codes if maker.makes_codes else maker.flow
            batch = maker.batch(*frames.shape[1:])
            for at in range(0, len(frames) - 1, batch):
                pairs += len(pairs_of(compute, frames[at : at + batch + 1], 1))
    else:
        with open_store(job.store, "a") as store:
            for i, path in enumerate(job.paths):
                video = f"{job.number} {i}"
                pairs += extract_video(path, video, store, job.recipe, maker=maker).pairs
    return pairs


def run(options: ExtractBench) -> int:
    """Measure, print, and give 1 where the goal is missed."""
    if options.rounds < 1 or not options.workers or min(options.workers) < 1:
        raise UserError("--rounds and --workers must be at least 1")
    recipe = check_engine(Recipe(resize=Resize.parse(options.size), engine=options.engine))
    with tempfile.TemporaryDirectory(prefix="twostream-bench-") as folder:
        paths = material(options, Path(folder))
        pairs = check_equal(paths, recipe, Path(folder) / "check")
        results = [measure(n, paths, recipe, options, Path(folder)) for n in options.workers]
    report = {
        "engine": FlowMaker(recipe).name,
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


def material(options: ExtractBench, folder: Path) -> tuple[str, ...]:
    """Paths of the videos."""
    if options.clips is None:
        from scripts.samples import SampleData, make_sample_data

        few = SampleData(appearances=2, motions=2, groups=2, clips=1)
        make_sample_data(
            folder / "sample", replace(few, frames=options.frames, width=340, height=256)
        )
    found, _ = find_videos([options.clips or str(folder / "sample")])
    return tuple(video.path for video in found[:: max(1, len(found) // options.videos)])[
        : options.videos
    ]


def check_equal(paths: tuple[str, ...], recipe: Recipe, out: Path) -> int:
    """Extract losslessly and compare with the engine's flow of the whole video; pairs in all."""
    exact = replace(recipe, codec="raw")
    maker = FlowMaker(exact)
    pairs = 0
    with open_store(out, "w", exact.config()) as store:
        for i, path in enumerate(paths):
            done = extract_video(path, str(i), store, exact, maker=maker)
            pairs += done.pairs
            if i == 0:
                grey = np.stack([picture.grey for picture in Source(path, exact).pictures()])
                quantized = exact.quantizer.quantize
                codes = maker.codes(grey) if maker.makes_codes else quantized(maker.flow(grey))
                if not np.array_equal(codes, store.read_flow("0", 0, done.pairs)):
                    raise WorkFailed(f"{path}: stored flow differs from the engine's")
    return pairs


def measure(
    size: int, paths: tuple[str, ...], recipe: Recipe, options: ExtractBench, folder: Path
) -> dict[str, Any]:
    """Both sides in turn, `size` workers at once, each with all the videos."""
    out = folder / f"store{size}"
    open_store(out, "w", recipe.config()).close()
    times: dict[str, list[float]] = {"engine": [], "extract": []}
    cpu: dict[str, list[float]] = {"engine": [], "extract": []}
    rounds = pairs = 0

    def go(crew: Crew, what: str) -> float:
        nonlocal rounds, pairs
        rounds += 1
        pairs, used = 0, 0.0
        jobs = deque(Job(what, rounds * size + i, paths, recipe, str(out)) for i in range(size))
        began = time.perf_counter()
        for event in crew.run(lambda: jobs.popleft() if jobs else None, act):
            if event.kind != "done":
                raise WorkFailed(f"the measurement failed: {event.kind} {event.value}")
            pairs += event.value[0]
            used += event.value[1]
        cpu.setdefault(what, []).append(used)
        return time.perf_counter() - began

    with Crew(size, crew_size(recipe, size)[1]) as crew:
        for what in ("prepare", "engine", "extract"):  # starts, compiles, opens files
            go(crew, what)
        cpu = {"engine": [], "extract": []}
        for number in range(options.rounds):
            # Which side is first changes, so that a machine that slows down favours neither.
            for what in ("engine", "extract")[:: 1 if number % 2 else -1]:
                times[what].append(go(crew, what))
    ratios = [a / b for a, b in zip(times["engine"], times["extract"], strict=True)]
    return {
        "workers": size,
        "engine_pairs_per_second": pairs / statistics.median(times["engine"]),
        "extract_pairs_per_second": pairs / statistics.median(times["extract"]),
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        # What the ratio cannot fall below, however busy the cores are.
        "cpu_ratio": statistics.median(
            [a / b for a, b in zip(cpu["engine"], cpu["extract"], strict=True)]
        ),
    }
