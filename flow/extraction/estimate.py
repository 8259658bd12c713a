"""Before the work: how long each video is, and how long all of them will take."""

from __future__ import annotations

import logging
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from flow.extraction.pace import seconds_per_frame
from flow.extraction.plan import Task
from flow.extraction.pool import Pool, cores
from flow.extraction.progress import Stop
from flow.extraction.recipe import Recipe
from flow.extraction.summary import clock
from flow.extraction.worker import Progress
from flow.video import VideoError, probe

log = logging.getLogger(__name__)

PROBED = 64
"""Videos whose headers are read in one job."""
MOST_PROBED = 512
"""Videos whose headers are read before the first one is extracted."""
SAMPLED = 3
"""Videos that each worker times the work on."""
MOST_PAIRS = 24
"""Of each of them, from its middle."""
SHARE = 0.05
"""Of all pairs: so many at most, for a short run should not take much longer for its estimate."""

Group = tuple[Task, ...]
Paces = list[tuple[int, float]]
"""Frames of a video, and a worker's seconds a frame."""


def with_frames(pool: Pool, tasks: Sequence[Task], stop: Stop) -> list[Task]:
    """The tasks with the frames that their headers promise, the longest first."""
    waiting = deque(probing_groups(tasks))
    known: dict[str, int] = {}

    def next_group() -> Group | None:
        return waiting.popleft() if waiting and not stop.why else None

    for event in pool.run(next_group, probe_group):
        if event.kind == "done":
            known |= promised(event.job, event.value)
    return counted(tasks, known)


def probing_groups(tasks: Sequence[Task]) -> list[Group]:
    """The tasks whose headers are read, some in one job.

    Of very many, some are looked at and the others go by their size: the first pair of a job must
    not wait until thousands of files were opened.
    """
    some = tasks[:: max(1, -(-len(tasks) // MOST_PROBED))]
    return [tuple(some[at : at + PROBED]) for at in range(0, len(some), PROBED)]


def promised(group: Group, frames: Sequence[int]) -> dict[str, int]:
    """Video -> the frames that its headers promise. Headers of damaged files claim anything; no
    codec has 8 frames a byte."""
    return {
        task.video: count if count <= 8 * task.bytes else 0
        for task, count in zip(group, frames, strict=True)
    }


def counted(tasks: Sequence[Task], known: dict[str, int]) -> list[Task]:
    """The tasks with their frames, the longest first; where they are not known, by their bytes."""
    sizes = {task.video: task.bytes for task in tasks}
    rates = [frames / sizes[video] for video, frames in known.items() if frames]
    rate = statistics.median(rates) if rates else 0.0
    with_counts = [
        replace(task, frames=known.get(task.video, round(task.bytes * rate))) for task in tasks
    ]
    return sorted(with_counts, key=lambda task: (-task.frames, -task.bytes, task.video))


def estimate(pool: Pool, tasks: Sequence[Task], recipe: Recipe, stop: Stop) -> float | None:
    """Say how many seconds the work will take. All workers measure at once, as they will work."""
    groups = deque(samples(tasks, pool.size))
    if not groups or stop.why:
        return None
    arguments = (recipe, pairs_each(tasks, groups), cores() / pool.size)
    paces: Paces = []
    for event in pool.run(lambda: groups.popleft() if groups else None, measure_group, arguments):
        if event.kind == "done":
            paces += event.value
    return say(tasks, paces, pool.size)


def samples(tasks: Sequence[Task], workers: int) -> list[Group]:
    """A group of videos for each worker, evenly over the lengths."""
    known = [task for task in tasks if task.frames]
    count = min(SAMPLED * workers, len(known))
    chosen = [known[(2 * i + 1) * len(known) // (2 * count)] for i in range(count)]
    return [tuple(chosen[i::workers]) for i in range(min(workers, count))]


def pairs_each(tasks: Sequence[Task], groups: Sequence[Group]) -> int:
    """Pairs to time of each sampled video."""
    videos = sum(len(group) for group in groups)
    share = int(SHARE * sum(task.frames for task in tasks) / max(videos, 1))
    return min(max(share, 2), MOST_PAIRS)


def say(tasks: Sequence[Task], paces: Paces, workers: int) -> float | None:
    """The estimate, in words and as seconds; None where no video could be timed."""
    if not paces:
        return None
    pairs = sum(task.frames for task in tasks)
    # Long videos count for more, as they do in the work.
    each = sum(frames * pace for frames, pace in paces) / sum(frames for frames, _ in paces)
    seconds = pairs * each / workers
    log.info(
        f"about {pairs:,} pairs; {workers} at once, {1 / each:,.1f} pairs/s each, decoding and "
        f"coding included: roughly {clock(seconds)}"
    )
    return seconds


def probe_group(group: Group, progress: Progress) -> list[int]:
    """The frames that each video's headers promise; 0 where they cannot be read. In a worker, so
    that a header that crashes the decoder does not end the run."""
    counts = []
    for task in group:
        try:
            counts.append(probe(task.path).frames)
        except VideoError:
            counts.append(0)
    return counts


def measure_group(
    group: Group, recipe: Recipe, pairs: int, cores: float, progress: Progress
) -> Paces:
    """In a worker, as the work will be."""
    return seconds_per_frame(group, recipe, pairs, cores)
