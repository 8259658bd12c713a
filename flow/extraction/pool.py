"""Worker processes that may die: each holds one job at a time, and only that is lost with it.

joblib's loky gives up every job in hand when one worker is killed (TerminatedWorkerError), and
does not say which job it was. Here the death of a worker is an event like any other.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from storage.errors import WorkFailed

Function = Callable[..., Any]
SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C reaches all processes, and only the parent decides. These are blocked while a worker
starts, since a starting Python would die of them with a traceback, and ignored from then on."""
MAX_FAILED_STARTS = 3
"""So many workers in a row may die as they start before that counts as a fault of the machine."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a job."""

    job: Any
    kind: str
    """progress, done, raised or died."""
    value: Any = None
    """The amount, the result, the error's text, or the exit code (negative: a signal)."""


@dataclass
class WorkerProcess:
    """One worker process, as its parent sees it."""

    slot: int
    process: SpawnProcess
    pipe: Connection
    job: Any = None
    ready: bool = False
    """It has started, so that its death is not that of every worker here."""


class Pool:
    """`size` processes, started when first needed and replaced when they die.

    Use it as a context manager; leaving it ends the processes.
    """

    def __init__(self, size: int, environments: list[dict[str, str]] | None = None) -> None:
        """`environments`: variables for worker i, taken in turn (a GPU each, for example)."""
        self.size = size
        self._environments = environments or [{}]
        self._workers: list[WorkerProcess] = []
        self._failed_starts = 0
        self._context = multiprocessing.get_context("spawn")

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    @property
    def busy(self) -> int:
        return sum(worker.job is not None for worker in self._workers)

    def run(
        self, next_job: Callable[[], Any], function: Function, arguments: tuple[Any, ...] = ()
    ) -> Iterator[Event]:
        """Call `function(job, *arguments, progress)` in a worker for each job; yield what happens.

        `next_job` is asked whenever a worker is free, and gives None when there is none now; a
        job that died may so be given out again. Ends when nothing is left to do or in hand.
        """
        while True:
            while self.busy < self.size:
                job = next_job()
                if job is None:
                    break
                self._give(job, function, arguments)
            if not self.busy:
                return
            yield from self._events()

    def _give(self, job: Any, function: Function, arguments: tuple[Any, ...]) -> None:
        while True:
            free = [worker for worker in self._workers if worker.job is None]
            worker = free[0] if free else self._start()
            try:
                if worker.process.is_alive():
                    worker.pipe.send((function, job, arguments))
                    worker.job = job
                    return
            except OSError:
                pass
            self._remove(worker)  # it died while idle

    def _start(self) -> WorkerProcess:
        taken = {worker.slot for worker in self._workers}
        slot = min(set(range(self.size)) - taken)
        ours, theirs = self._context.Pipe()
        environment = self._environments[slot % len(self._environments)]
        process = self._context.Process(
            target=work, args=(theirs, environment), daemon=True, name=f"extract-{slot}"
        )
        resource_tracker.ensure_running()  # starting it with the first process would undo the block
        with signals_blocked():
            process.start()
        theirs.close()
        worker = WorkerProcess(slot, process, ours)
        self._workers.append(worker)
        return worker

    def _remove(self, worker: WorkerProcess) -> int:
        """Make sure that it is dead, and forget it; returns its exit code."""
        worker.process.join(5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise WorkFailed(f"worker processes die as they start (exit code {code})")
        return code

    def _events(self) -> Iterator[Event]:
        pipes = {worker.pipe: worker for worker in self._workers}
        for pipe in wait(list(pipes), timeout=0.5):
            worker = pipes[pipe]  # type: ignore[index]
            try:
                kind, value = worker.pipe.recv()
            except (EOFError, OSError):
                job, code = worker.job, self._remove(worker)
                if job is not None:
                    yield Event(job, "died", code)
                continue
            if kind == "ready":
                worker.ready = True
                self._failed_starts = 0
                continue
            job = worker.job
            if kind != "progress":
                worker.job = None
            if getattr(value, "stuck", False):  # a thread hangs in foreign code in there
                worker.process.kill()
                self._remove(worker)
            yield Event(job, kind, value)


def cores() -> int:
    """The processor cores that this process may use."""
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return given or 1


@contextmanager
def signals_blocked() -> Iterator[None]:
    """While a process starts, which inherits the block and lifts it with `ignore_signals`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_signals() -> None:
    """In the new process: only its parent decides."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def work(pipe: Connection, environment: dict[str, str]) -> None:
    """What a worker process runs: one job after the other."""
    os.environ.update(environment)
    ignore_signals()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    pipe.send(("ready", None))
    while True:
        try:
            function, job, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            result = function(job, *arguments, lambda amount: pipe.send(("progress", amount)))
            message = ("done", result)
        except Exception as error:
            message = ("raised", f"{type(error).__name__}: {error}")
        try:
            pipe.send(message)
        except OSError:
            return


def _die_with_parent() -> None:
    """Nobody is there to take the result, and the next run may already be at the same video."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
