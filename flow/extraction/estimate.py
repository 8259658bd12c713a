"""Before the work: how long each video is, and how long all of them will take."""

from __future__ import annotations

import logging
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from flow.extraction.plan import Task
from flow.extraction.pool import Pool
from flow.extraction.progress import Stop
from flow.extraction.recipe import Recipe
from flow.extraction.summary import clock
from flow.extraction.worker import Progress, probe_frames, seconds_per_pair

log = logging.getLogger(__name__)

WORTH_IT = 2000
"""Pairs below which an estimate would take longer than it is worth."""
PROBED = 64
"""Videos whose headers are read in one job."""
MOST_PROBED = 512
"""Videos whose headers are read before the first one is extracted."""
SAMPLED = 3
"""Videos that the engine is timed on."""

Group = tuple[Task, ...]


def with_frames(pool: Pool, tasks: Sequence[Task], stop: Stop) -> list[Task]:
    """The tasks with the frames that their headers promise, the longest first.

    Of very many, some are looked at and the others go by their size: the first pair of a job must
    not wait until thousands of files were opened.
    """
    apart = -(-len(tasks) // MOST_PROBED)
    some = tasks[:: max(1, apart)]
    waiting = deque(tuple(some[at : at + PROBED]) for at in range(0, len(some), PROBED))
    known: dict[str, int] = {}

    def next_group() -> Group | None:
        return waiting.popleft() if waiting and not stop.why else None

    for event in pool.run(next_group, probe_group):
        if event.kind == "done":
            for task, frames in zip(event.job, event.value, strict=True):
                # Headers of damaged files claim anything; no codec has 8 frames a byte.
                known[task.video] = frames if frames <= 8 * task.bytes else 0
    sizes = {task.video: task.bytes for task in some}
    rates = [frames / sizes[video] for video, frames in known.items() if frames]
    rate = statistics.median(rates) if rates else 0.0
    counted = [
        replace(task, frames=known.get(task.video, round(task.bytes * rate))) for task in tasks
    ]
    return sorted(counted, key=lambda task: (-task.frames, -task.bytes, task.video))


def estimate(pool: Pool, tasks: Sequence[Task], recipe: Recipe, stop: Stop) -> float | None:
    """Say how many seconds the work will take, where it is much."""
    pairs = sum(task.frames for task in tasks)
    if pairs < WORTH_IT or stop.why:
        return None
    known = [task for task in tasks if task.frames]
    apart = max(1, len(known) // SAMPLED)
    jobs: list[Group] = [tuple(known[apart // 2 :: apart][:SAMPLED])]

    def next_job() -> Group | None:
        return jobs.pop() if jobs else None

    seconds = None
    for event in pool.run(next_job, measure_group, (recipe,)):
        if event.kind == "done" and event.value > 0:
            seconds = pairs * event.value / pool.size
            log.info(
                f"about {pairs:,} pairs; {pool.size} at once, {1 / event.value:,.1f} pairs/s "
                f"each: roughly {clock(seconds)}"
            )
    return seconds


def probe_group(group: Group, progress: Progress) -> list[int]:
    """In a worker, so that a header that crashes the decoder does not end the run."""
    return probe_frames([task.path for task in group])


def measure_group(group: Group, recipe: Recipe, progress: Progress) -> float:
    """In a worker, as the work will be."""
    return seconds_per_pair(group, recipe)
