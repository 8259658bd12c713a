"""What extraction sustains around an engine of a given rate, against the cost of its own work.

Own cost: decoding, resizing, grey levels, coding, JPEG frames and the store, each stage alone in
one thread, in processor time. Sustained: the same videos through worker processes and a simulated
engine. Processor time that others took meanwhile is left out of what there was.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flow.extraction import Pool, Quality, Recipe, Task, environments, extract_task, owners
from flow.video import Resize, VideoReader, to_grey
from scripts.bench.extract_source import chosen_paths
from scripts.bench.progress import Progress
from scripts.bench.simulated import known_flow, open_simulated, prepare
from storage.codecs import flow_codec, frame_codec
from storage.errors import WorkFailed
from storage.store import open_store

if TYPE_CHECKING:
    from scripts.bench.extract import ExtractBench

GOAL = 0.9
"""Sustained over what the own cost allows."""
SECONDS = 20.0
"""How long it has to be sustained."""
FAST_GPU = 3000.0
"""Pairs/s of 340x256 that a GPU is expected to give."""


@dataclass(frozen=True)
class Sustained:
    """What a number of workers kept up."""

    workers: int
    pairs_per_second: float
    """By the clock."""
    cores: float
    """Cores that were left to it: all of them, less what others used."""
    cpu_ms: float
    """Processor time of all its processes, a pair."""
    allowed: float
    """Pairs/s that the own cost allows on so many cores, and the engine."""
    ratio: float
    """Sustained over allowed."""


def run(options: ExtractBench, rate: float) -> int:
    """Measure, print, and give 1 where the goal is missed."""
    import cv2

    cv2.setNumThreads(1)
    recipe = Recipe(resize=Resize.parse(options.size), engine="cpu")
    limit = 120 + SECONDS * 2 * len(options.workers)
    with (
        tempfile.TemporaryDirectory(prefix="twostream-bench-") as name,
        Progress("bench extract", limit, options.quiet),
    ):
        folder = Path(name)
        paths = chosen_paths(options.clips, options.videos, options.frames, folder)
        pairs = prepare(paths, recipe, folder)
        cost = own_cost(paths, recipe, known_flow(folder).codes, folder / "own")
        own = sum(cost.values())
        rows = []
        with owners(partial(open_simulated, rate, recipe, folder), ["0"]) as engines:
            for workers in options.workers:
                store = folder / f"store{workers}"
                open_store(store, "w", recipe.config()).close()
                rows.append(sustained(workers, engines, paths, recipe, store, own, rate))
    best = max(rows, key=lambda row: row.ratio)
    report = {
        "engine": f"simulated, {rate:g} pairs/s",
        "size": options.size,
        "videos": len(paths),
        "pairs": pairs,
        "own_cost_ms": {stage: seconds * 1e3 for stage, seconds in cost.items()},
        "own_ms": own * 1e3,
        "goal": GOAL,
        "results": [asdict(row) for row in rows],
        "cores_for_3000": FAST_GPU * best.cpu_ms / 1e3,
    }
    print(json.dumps(report, indent=1) if options.json else text_of(report, rows))
    return 0 if best.ratio >= GOAL else 1


def text_of(report: dict[str, object], rows: Sequence[Sustained]) -> str:
    cost = report["own_cost_ms"]
    assert isinstance(cost, dict)
    lines = [
        f"{report['engine']}, {report['videos']} videos, {report['pairs']} pairs of "
        f"{report['size']}",
        f"own cost of a pair: {report['own_ms']:.2f} ms of one core: "
        + ", ".join(f"{stage} {milliseconds:.2f}" for stage, milliseconds in cost.items()),
    ]
    for row in rows:
        lines.append(
            f"{row.workers} workers: {row.pairs_per_second:.0f} pairs/s with {row.cores:.2f} cores "
            f"left by others; their own cost allows {row.allowed:.0f}: {row.ratio:.1%}; "
            f"{row.cpu_ms:.2f} ms of processor time a pair, all in all"
        )
    lines.append(f"{FAST_GPU:.0f} pairs/s need {report['cores_for_3000']:.1f} such cores")
    return "\n".join(lines)


def own_cost(
    paths: Sequence[str], recipe: Recipe, codes: NDArray[np.uint8], store: Path
) -> dict[str, float]:
    """Stage -> seconds of processor time a pair, each stage alone, one thread."""
    spent: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        began = time.thread_time()
        yield
        spent[name] += time.thread_time() - began

    coder, pictures = flow_codec(recipe.codec, recipe.quantizer), frame_codec(recipe.frame_codec)
    start = 0
    with open_store(store, "w", recipe.config()) as opened:
        for number, path in enumerate(paths):
            with stage("decode"), VideoReader(path) as reader:
                frames = [frame.rgb for frame in reader]
            with stage("resize"):
                frames = [recipe.resize.apply(frame) for frame in frames]
            with stage("grey"):
                for frame in frames:
                    to_grey(frame)
            flow = np.array(codes[start : start + len(frames) - 1])
            start += len(flow)
            with stage("count"):
                quality = Quality()
                for pair in flow:
                    quality.count(pair, recipe.quantizer)
            with stage("code"):
                coded = [coder.encode(pair) for pair in flow]
            with stage("jpeg"):
                jpegs = [pictures.encode(frame) for frame in frames] if pictures else []
            with stage("store"), opened.write(str(number)) as writer:
                height, width = frames[0].shape[:2]
                for item in jpegs:
                    writer.encoded("frames", item, height, width)
                for item in coded:
                    writer.encoded(recipe.fields[0], item, height, width)
                writer.finish(fps=25.0)
    return {name: seconds / start for name, seconds in spent.items()}


def sustained(
    workers: int,
    engines: Sequence[str],
    paths: Sequence[str],
    recipe: Recipe,
    store: Path,
    own: float,
    rate: float,
) -> Sustained:
    """So many workers for `SECONDS`, after a first round that imports and opens everything."""
    numbers = count()
    until = 0.0
    pairs = 0

    def next_task() -> Task | None:
        number = next(numbers)
        if (until and time.monotonic() > until) or (not until and number >= 2 * workers):
            return None
        path = paths[number % len(paths)]
        return Task(str(number), path, Path(path).name, os.stat(path).st_size)

    with Pool(workers, environments(engines)) as pool:
        for measured in (False, True):
            pids = [child.pid for child in multiprocessing.active_children() if child.pid]
            pids += children_of(os.getpid()) if measured else []
            mine, all_busy = cpu_of(set(pids)), busy_of_all()
            began = time.monotonic()
            until = began + SECONDS if measured else 0.0
            pairs = 0
            for event in pool.run(next_task, extract_task, (str(store), recipe, False)):
                if event.kind == "progress":
                    pairs += event.value
                elif event.kind != "done" or event.value.status != "stored":
                    raise WorkFailed(f"the measurement failed: {event.value}")
            wall = time.monotonic() - began
        used = cpu_of(set(pids)) - mine
        others = max(0.0, busy_of_all() - all_busy - used)
    cores = max(0.1, (os.cpu_count() or 1) - others / wall)
    cores = min(cores, float(len(os.sched_getaffinity(0))))
    allowed = min(rate, cores / own)
    return Sustained(
        workers, pairs / wall, cores, used / pairs * 1e3, allowed, pairs / wall / allowed
    )


def children_of(pid: int) -> list[int]:
    """Processes that a process has started and that still run; Linux."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(number) for number in (task / "children").read_text().split()]
    return found


TICK = os.sysconf("SC_CLK_TCK")


def cpu_of(pids: set[int]) -> float:
    """Seconds of processor time that processes have used."""
    seconds = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / TICK
    return seconds


def busy_of_all() -> float:
    """Seconds in which the machine's cores worked for anybody, a hypervisor's other guests too."""
    user, nice, system, _, _, interrupts, soft, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + interrupts + soft + steal) / TICK
