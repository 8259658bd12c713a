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
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from storage.errors import WorkFailed

Function = Callable[..., Any]
EMPLOYERS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C reaches all processes, and only the employer decides: these are blocked while a worker
starts, for a starting Python would die of them with a traceback, and ignored from then on."""
MAX_STILLBORN = 3
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
class Member:
    """One worker process, as its employer sees it."""

    slot: int
    process: SpawnProcess
    pipe: Connection
    job: Any = None
    ready: bool = False
    """It has started, so that its death is not that of every worker here."""


class Crew:
    """`size` processes, started when first needed and replaced when they die.

    Use it as a context manager; leaving it ends the processes.
    """

    def __init__(self, size: int, environments: list[dict[str, str]] | None = None) -> None:
        """`environments`: variables for worker i, taken in turn (a GPU each, for example)."""
        self.size = size
        self._environments = environments or [{}]
        self._members: list[Member] = []
        self._stillborn = 0
        self._context = multiprocessing.get_context("spawn")

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.process.kill()
        for member in self._members:
            member.process.join()
            member.pipe.close()
        self._members.clear()

    @property
    def busy(self) -> int:
        return sum(member.job is not None for member in self._members)

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
            free = [member for member in self._members if member.job is None]
            member = free[0] if free else self._hire()
            try:
                if member.process.is_alive():
                    member.pipe.send((function, job, arguments))
                    member.job = job
                    return
            except OSError:
                pass
            self._bury(member)  # it died while idle

    def _hire(self) -> Member:
        taken = {member.slot for member in self._members}
        slot = min(set(range(self.size)) - taken)
        ours, theirs = self._context.Pipe()
        environment = self._environments[slot % len(self._environments)]
        process = self._context.Process(
            target=work, args=(theirs, environment), daemon=True, name=f"extract-{slot}"
        )
        resource_tracker.ensure_running()  # starting it with the first process would undo the block
        before = signal.pthread_sigmask(signal.SIG_BLOCK, EMPLOYERS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        member = Member(slot, process, ours)
        self._members.append(member)
        return member

    def _bury(self, member: Member) -> int:
        """Make sure that it is dead, and forget it; returns its exit code."""
        member.process.join(5)
        if member.process.is_alive():
            member.process.kill()
            member.process.join()
        member.pipe.close()
        self._members.remove(member)
        code = member.process.exitcode or 0
        if not member.ready:
            self._stillborn += 1
            if self._stillborn >= MAX_STILLBORN:
                raise WorkFailed(f"worker processes die as they start (exit code {code})")
        return code

    def _events(self) -> Iterator[Event]:
        pipes = {member.pipe: member for member in self._members}
        for pipe in wait(list(pipes), timeout=0.5):
            member = pipes[pipe]  # type: ignore[index]
            try:
                kind, value = member.pipe.recv()
            except (EOFError, OSError):
                job, code = member.job, self._bury(member)
                if job is not None:
                    yield Event(job, "died", code)
                continue
            if kind == "ready":
                member.ready = True
                self._stillborn = 0
                continue
            job = member.job
            if kind != "progress":
                member.job = None
            if getattr(value, "stuck", False):  # a thread hangs in foreign code in there
                member.process.kill()
                self._bury(member)
            yield Event(job, kind, value)


def work(pipe: Connection, environment: dict[str, str]) -> None:
    """The life of a worker."""
    os.environ.update(environment)
    for number in EMPLOYERS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, EMPLOYERS)
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
