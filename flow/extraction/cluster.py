"""The same work on many machines, through a Dask scheduler.

`distributed` is used directly: joblib's Dask backend gives up the whole call when one task's
worker died too often (KilledWorker), and gives results only together or in order. Here each video
is a task of its own: what a dying worker had in hand, the scheduler gives to others.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections import deque
from contextlib import suppress
from itertools import count
from typing import Any

from flow.extraction.options import ExtractOptions
from flow.extraction.own_engine import close_own_engine, own_engine
from flow.extraction.plan import Plan, Task
from flow.extraction.progress import DIED, RunProgress, Stop
from flow.extraction.recipe import Recipe
from flow.extraction.summary import Summary
from flow.extraction.worker import Outcome, close_worker, extract_task, one_line
from storage.errors import UserError

log = logging.getLogger(__name__)

PATIENCE = "20s"
"""For the scheduler to answer, and for the first worker to come."""


def run_on_cluster(
    options: ExtractOptions, recipe: Recipe, plan: Plan, summary: Summary, stop: Stop, quiet: bool
) -> None:
    """The tasks of a plan, by the workers of the scheduler at `options.cluster`."""
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise UserError("--cluster needs Dask: pip install 'twostream[dask]'") from None
    try:
        client = Client(options.cluster, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers at {options.cluster} ({one_line(error)}); start one with "
            "`dask scheduler` and workers with `dask worker --nthreads 1 ADDRESS`"
        ) from None
    with client:
        wait_for_workers(client, str(options.cluster))
        if options.dry_run:
            stop.ask("it was a dry run")
            return
        out = os.path.abspath(options.out)
        run, numbers = uuid.uuid4().hex[:8], count()
        waiting = deque(plan.tasks)
        doing: dict[str, Task] = {}
        results = as_completed(loop=client.loop, raise_errors=False)

        def fill() -> None:
            """As much as the workers can do at once: Dask blames a worker's death on all that
            it was given, so nothing should wait at a worker."""
            room = sum(client.nthreads().values()) or 1
            while waiting and len(doing) < room and not stop.why:
                task = waiting.popleft()
                future = client.submit(
                    extract_with_own_engine, task, out, recipe, options.on_error == "partial",
                    key=f"extract-{run}-{next(numbers)}", pure=False,
                )  # fmt: skip
                doing[future.key] = task
                results.add(future)

        with RunProgress(plan.tasks, summary, options, stop, quiet) as progress:
            fill()
            for future in results:
                task = doing.pop(future.key)
                outcome = outcome_of_future(task, future)
                future.release()
                if outcome.kind == DIED and progress.try_again(task):
                    waiting.append(task)  # it may have been its neighbour's fault
                elif outcome.status == "engine" and progress.try_engine_again(task):
                    waiting.appendleft(task)
                else:
                    # Dask repeats by itself what was done by a worker that is gone.
                    progress.settle(task, outcome, lost=True)
                fill()
        with suppress(Exception):  # a worker that goes away now has nothing to let go of
            client.run(close_worker)
            client.run(close_own_engine)


def extract_with_own_engine(task: Task, store: str, recipe: Recipe, tolerant: bool) -> Outcome:
    """In a Dask worker: `extract_task`, with a GPU of the worker's own where one is used."""
    with _one_at_a_time:
        try:
            recipe = own_engine(recipe)
        except UserError as error:
            return Outcome(task.video, "fatal", kind="engine", reason=one_line(error))
    return extract_task(task, store, recipe, tolerant)


_one_at_a_time = threading.Lock()
"""A worker may have several threads."""


def outcome_of_future(task: Task, future: Any) -> Outcome:
    """The outcome that a finished future means."""
    from distributed import KilledWorker

    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    if future.status == "cancelled":
        return Outcome(task.video, "fatal", kind="cluster", reason="the scheduler was lost")
    error = future.exception()
    if isinstance(error, KilledWorker):
        reason = f"{DIED}: every worker that tried it"
        return Outcome(task.video, "failed", kind=DIED, reason=reason)
    reason = f"error: {type(error).__name__}: {one_line(error)}"
    return Outcome(task.video, "failed", kind="error", reason=reason)


def wait_for_workers(client: Any, address: str) -> None:
    from distributed import TimeoutError as TooLate

    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except (TooLate, TimeoutError):
        raise UserError(
            f"the scheduler at {address} has no workers; start some with "
            f"`dask worker --nthreads 1 {address}`"
        ) from None
    wide = [name for name, threads in client.nthreads().items() if threads > 1]
    if wide:
        log.warning(
            f"{len(wide)} workers have several threads and use one at a time; "
            "start more workers, each with --nthreads 1"
        )
