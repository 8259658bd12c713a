"""Many videos into one store: by worker processes here, or by a cluster; nothing is lost."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from flow.extraction.estimate import estimate, with_frames
from flow.extraction.options import INTERRUPTED, Batch
from flow.extraction.plan import Plan, Task, make_plan
from flow.extraction.pool import Crew
from flow.extraction.progress import Account, Stop, outcome_of, record
from flow.extraction.recipe import Recipe
from flow.extraction.summary import Summary
from flow.extraction.worker import Outcome, Progress, check_engine, workshop
from flow.video import find_videos
from storage.store import open_store

log = logging.getLogger(__name__)


def run_batch(batch: Batch) -> Summary:
    """Extract what is not in the store yet. Failures are counted, not raised."""
    began = time.monotonic()
    found, again = find_videos(batch.videos, batch.root)
    recipe = batch.recipe if batch.cluster else check_engine(batch.recipe)
    plan = make_plan(found, stored_sources(batch, recipe), batch.shard, batch.redo_changed)
    summary = Summary(
        batch.out, found=plan.found, skipped=len(plan.skipped), failures=list(plan.failed)
    )
    if again:
        log.info(f"{again} names lead to files that others lead to as well; each is taken once")
    log.info(
        f"{plan.found} videos found, {len(plan.tasks)} to extract, {len(plan.skipped)} stored "
        f"already, {len(plan.failed)} that cannot be"
    )
    stop = Stop()
    if not batch.dry_run:
        record(batch, stop, plan.failed, plan.skipped)
    if plan.failed and batch.on_error == "stop":
        stop.ask(f"{plan.failed[0].video}: {plan.failed[0].reason}")
    if plan.tasks and not stop.why:
        with interrupts(stop):
            if batch.cluster:
                from flow.extraction.cluster import run_on_cluster

                run_on_cluster(batch, recipe, plan, summary, stop)
            else:
                run_here(batch, recipe, plan, summary, stop)
    summary.stopped = stop.why
    summary.seconds = time.monotonic() - began
    return summary


def stored_sources(batch: Batch, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """What the store holds: id -> its source. Makes the store where there is none yet."""
    if batch.dry_run and not os.path.exists(batch.out):
        return {}
    with open_store(batch.out, "a", recipe.config()) as store:
        return {meta.video: meta.source for meta in store.metas()}


def run_here(batch: Batch, recipe: Recipe, plan: Plan, summary: Summary, stop: Stop) -> None:
    """The tasks of a plan, by processes on this machine."""
    size, environments = crew_size(recipe, batch.workers)
    if len(plan.tasks) < size and recipe.engine == "cpu":
        # Fewer videos than cores: the cores share the pairs of each.
        recipe = replace(recipe, threads=recipe.threads * (size // len(plan.tasks)))
    with Crew(min(size, len(plan.tasks)), environments) as crew:
        tasks = with_frames(crew, plan.tasks, stop)
        estimate(crew, tasks, recipe, stop)
        if batch.dry_run:
            stop.ask("it was a dry run")
            return
        with Account(tasks, summary, batch, stop) as account:
            waiting = deque(tasks)

            def next_task() -> Task | None:
                return waiting.popleft() if waiting and not stop.why else None

            job = (batch.out, recipe, batch.on_error == "partial")
            for event in crew.run(next_task, extract_task, job):
                task = event.job
                if event.kind == "progress":
                    account.progress(task, event.value)
                elif event.kind == "died" and account.try_again(task):
                    waiting.append(task)
                else:
                    account.settle(task, outcome_of(event))


def extract_task(
    task: Task, out: str, recipe: Recipe, partial: bool, progress: Progress
) -> Outcome:
    """In a worker."""
    return workshop(out, recipe).extract(task, partial, progress)


def crew_size(recipe: Recipe, workers: int | None) -> tuple[int, list[dict[str, str]]]:
    """Worker processes, and what makes each see a GPU of its own."""
    if recipe.engine == "gpu":
        import cupy

        gpus = int(cupy.cuda.runtime.getDeviceCount())
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",")[:gpus] if visible else [str(i) for i in range(gpus)]
        return workers or gpus, [{"CUDA_VISIBLE_DEVICES": name} for name in names]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return workers or max(1, (cores or 1) // recipe.threads), [{}]


@contextmanager
def interrupts(stop: Stop) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) asks for an end, the second does not wait for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: object) -> None:
        if stop.why == INTERRUPTED:
            raise KeyboardInterrupt
        stop.why = INTERRUPTED
        log.warning("stopping: the videos in hand are finished; Ctrl-C again drops them")

    before = [(n, signal.signal(n, on_signal)) for n in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
