"""Many videos into one store: by worker processes here, or by a cluster; nothing is lost."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from flow.extraction.cluster import run_on_cluster
from flow.extraction.engine_client import ADDRESS
from flow.extraction.engine_process import engine_processes
from flow.extraction.estimate import estimate, with_frames
from flow.extraction.failures import gather_failures
from flow.extraction.options import INTERRUPTED, ExtractOptions
from flow.extraction.plan import Plan, Share, Task, make_plan
from flow.extraction.pool import Pool, cores
from flow.extraction.progress import RunProgress, Stop, outcome_of_event, record, refusals
from flow.extraction.recipe import Recipe, check_engine
from flow.extraction.summary import DRY_RUN, Summary
from flow.extraction.worker import extract_task
from flow.video import find_videos
from storage.store import open_store

log = logging.getLogger(__name__)


def run_batch(options: ExtractOptions, quiet: bool = False) -> Summary:
    """Extract what is not in the store yet. Failures are counted, not raised."""
    began = time.monotonic()
    share = Share.parse(options.shard) if options.shard else None
    recipe = options.recipe()
    files, again = find_videos(options.videos, options.root)
    if not options.cluster:
        recipe = check_engine(recipe)
    plan = make_plan(files, stored_sources(options, recipe), share, options.redo_changed)
    summary = Summary(
        options.out, found=plan.found, skipped=len(plan.skipped), failures=list(plan.failed)
    )
    if again:
        log.info(f"{again} names lead to files that others lead to as well; each is taken once")
    log.info(
        f"{plan.found} videos found, {len(plan.tasks)} to extract, {len(plan.skipped)} stored "
        f"already, {len(plan.failed)} that cannot be"
    )
    stop = Stop()
    if not options.dry_run:
        record(options.out, stop, plan.failed, plan.skipped)
    if plan.failed and options.on_error == "stop":
        stop.ask(f"{plan.failed[0].video}: {plan.failed[0].reason}")
    if plan.tasks and not stop.why:
        with interrupts(stop):
            if options.cluster:
                run_on_cluster(options, recipe, plan, summary, stop, quiet)
            else:
                run_here(options, recipe, plan, summary, stop, quiet)
    if not options.dry_run:
        with refusals(options.out, stop):
            gather_failures(options.out)
    summary.stopped = stop.why
    summary.seconds = time.monotonic() - began
    return summary


def stored_sources(options: ExtractOptions, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """What the store holds: id -> its source. Creates the store where there is none yet."""
    if options.dry_run and not os.path.exists(options.out):
        return {}
    with open_store(options.out, "a", recipe.config()) as store:
        return {meta.video: meta.source for meta in store.metas()}


def run_here(
    options: ExtractOptions, recipe: Recipe, plan: Plan, summary: Summary, stop: Stop, quiet: bool
) -> None:
    """The tasks of a plan, by processes on this machine."""
    size = pool_size(recipe, options.workers)
    with engine_processes(recipe) as engines:
        if len(plan.tasks) < size and not engines:
            # Fewer videos than cores: the cores share the pairs of each.
            recipe = replace(recipe, threads=recipe.threads * (size // len(plan.tasks)))
        size = min(size, len(plan.tasks))
        with Pool(size, environments(engines)) as pool:
            work_off(pool, options, recipe, plan, summary, stop, quiet)


def work_off(
    pool: Pool,
    options: ExtractOptions,
    recipe: Recipe,
    plan: Plan,
    summary: Summary,
    stop: Stop,
    quiet: bool,
) -> None:
    """The tasks of a plan, by the workers of a pool."""
    tasks = with_frames(pool, plan.tasks, stop)
    estimate(pool, tasks, recipe, stop)
    if options.dry_run:
        stop.ask(DRY_RUN)
        return
    with RunProgress(tasks, summary, options, stop, quiet) as progress:
        waiting = deque(tasks)

        def next_task() -> Task | None:
            return waiting.popleft() if waiting and not stop.why else None

        arguments = (options.out, recipe, options.on_error == "partial")
        for event in pool.run(next_task, extract_task, arguments):
            task = event.job
            if event.kind == "progress":
                progress.add(task, event.value)
                continue
            if event.kind == "died" and progress.try_again(task):
                waiting.append(task)
                continue
            outcome = outcome_of_event(event)
            if outcome.status == "engine" and progress.try_engine_again(task):
                log.warning(f"{task.video} is tried again: {outcome.reason}")
                waiting.appendleft(task)  # at once: a second time ends the run
            else:
                progress.settle(task, outcome)


def pool_size(recipe: Recipe, workers: int | None) -> int:
    """Worker processes: one a core, or one for each `threads` of them."""
    return workers or max(1, cores() // recipe.threads)


def environments(engines: Sequence[str]) -> list[dict[str, str]]:
    """The variables of each worker: which engine's process is its own."""
    return [{ADDRESS: address} for address in engines] or [{}]


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
