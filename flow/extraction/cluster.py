"""The same work on many machines, through a Dask scheduler.

`distributed` is used directly: joblib's Dask backend gives up the whole call when one task's
worker died too often (KilledWorker), and gives results only together or in order. Here each video
is a task of its own: what a dying worker had in hand, the scheduler gives to others.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from flow.extraction.estimate import (
    Group,
    Paces,
    counted,
    measure_group,
    pairs_each,
    probe_group,
    probing_groups,
    promised,
    samples,
    say,
)
from flow.extraction.options import ExtractOptions
from flow.extraction.own_engine import close_own_engine, own_engine
from flow.extraction.plan import Plan, Task
from flow.extraction.progress import DIED, RunProgress, Stop
from flow.extraction.recipe import Recipe
from flow.extraction.summary import DRY_RUN, Summary
from flow.extraction.worker import Outcome, Progress, close_worker, extract_task, one_line
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
    if not re.fullmatch(r"(\w+://)?[^/\s]+:\d+", str(options.cluster)):  # it would be waited for
        raise UserError(
            f"--cluster {options.cluster!r} is no address with a port; give the one that "
            "`dask scheduler` prints, such as tcp://10.0.0.1:8786"
        )
    try:
        client = Client(options.cluster, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers at {options.cluster} ({one_line(error)}); start one with "
            "`dask scheduler` and workers with `dask worker --nthreads 1 ADDRESS`"
        ) from None
    with client:
        wait_for_workers(client, str(options.cluster))
        tasks = look_ahead(client, plan.tasks, recipe)
        if options.dry_run:
            stop.ask(DRY_RUN)
            let_go(client)
            return
        out = os.path.abspath(options.out)
        run, numbers = uuid.uuid4().hex[:8], count()
        waiting = deque(tasks)
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

        with RunProgress(tasks, summary, options, stop, quiet) as progress:
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
        let_go(client)


def let_go(client: Any) -> None:
    """Have the workers close their stores, and end the engines that they keep."""
    for close in (close_worker, close_own_engine):
        with suppress(Exception):  # a worker that goes away now has nothing to let go of
            client.run(close)


def extract_with_own_engine(task: Task, store: str, recipe: Recipe, tolerant: bool) -> Outcome:
    """In a Dask worker: `extract_task`, with a GPU of the worker's own where one is used."""
    with _one_at_a_time:
        try:
            recipe = own_engine(recipe)
        except UserError as error:
            return Outcome(task.video, "fatal", reason=one_line(error))
    return extract_task(task, store, recipe, tolerant)


def measure_with_own_engine(group: Group, recipe: Recipe, pairs: int, progress: Progress) -> Paces:
    """In a Dask worker: `measure_group`, by the engine that will do the work."""
    with _one_at_a_time:
        recipe = own_engine(recipe)
    return measure_group(group, recipe, pairs, 1.0, progress)


_one_at_a_time = threading.Lock()
"""A worker may have several threads."""


def look_ahead(client: Any, tasks: Sequence[Task], recipe: Recipe) -> list[Task]:
    """The tasks with their frames, the longest first; and how long they will take is said. So the
    work's total is known before it begins. What a job dies of is left to the work itself."""
    known: dict[str, int] = {}
    groups = probing_groups(tasks)
    for group, frames in zip(groups, results_of(client, probe_group, groups, ()), strict=True):
        if frames is not None:
            known |= promised(group, frames)
    tasks = counted(tasks, known)
    workers = sum(client.nthreads().values()) or 1
    some = samples(tasks, workers)
    paces: Paces = []
    # Machines may differ, and other work on them is not known: a core each is what is counted on.
    for measured in results_of(
        client, measure_with_own_engine, some, (recipe, pairs_each(tasks, some))
    ):
        paces += measured or []
    say(tasks, paces, workers)
    return tasks


def results_of(
    client: Any, function: Callable[..., Any], groups: Sequence[Any], arguments: tuple[Any, ...]
) -> list[Any]:
    """What the workers make of each group; None where that failed."""
    futures = [client.submit(function, g, *arguments, None, pure=False) for g in groups]
    results = []
    for future in futures:
        try:
            results.append(future.result())
        except Exception:
            results.append(None)
    return results


def outcome_of_future(task: Task, future: Any) -> Outcome:
    """The outcome that a finished future means."""
    from distributed import KilledWorker

    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    if future.status == "cancelled":
        return Outcome(task.video, "fatal", reason="the scheduler was lost")
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
