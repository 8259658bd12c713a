"""A run while it goes on: its progress bar, its summary and the failures on record, always true."""

from __future__ import annotations

import signal
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from flow.extraction.failures import NAME, Failure, record_failures
from flow.extraction.options import ExtractOptions
from flow.extraction.plan import Task
from flow.extraction.pool import Event
from flow.extraction.summary import Summary
from flow.extraction.worker import Outcome
from flow.video import as_text
from storage.progress import progress_bar

TRIES = 2
"""A video whose worker died is tried again; the second death is taken to be its own fault."""


DIED = "worker died"


class Stop:
    """Whether the run should end early, and why; set by Ctrl-C and by failures."""

    def __init__(self) -> None:
        self.why = ""

    def ask(self, why: str) -> None:
        self.why = self.why or why


def record(
    store: str, stop: Stop, failures: Sequence[Failure], settled: Sequence[str] = ()
) -> None:
    """Keep the failures on record true; where that cannot be, no video can be stored either."""
    with refusals(store, stop):
        record_failures(store, failures, settled)


@contextmanager
def refusals(store: str, stop: Stop) -> Iterator[None]:
    """A record of failures that cannot be written ends the run."""
    try:
        yield
    except OSError as error:
        stop.ask(f"{store}/{NAME} cannot be written: {error.strerror}; what was stored is safe")


class RunProgress:
    """Keeps the progress bar, the summary and the failures on record true while work goes on."""

    def __init__(
        self,
        tasks: Sequence[Task],
        summary: Summary,
        options: ExtractOptions,
        stop: Stop,
        quiet: bool,
    ) -> None:
        self.summary, self.options, self.stop = summary, options, stop
        rates = [task.frames / task.bytes for task in tasks if task.frames and task.bytes]
        self._frames_a_byte = statistics.median(rates) if rates else 0.0
        self._expected = {task.video: self._guess(task) for task in tasks}
        self._done: dict[str, int] = {}
        self._deaths: dict[str, int] = {}
        self._engine_faults: set[str] = set()
        self._settled = 0
        self._total = len(tasks)
        total = sum(self._expected.values()) or None  # no header says: then nobody knows
        self._bar = progress_bar(total, "pair", "extract", quiet=quiet)

    def __enter__(self) -> RunProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def _guess(self, task: Task) -> int:
        """Pairs that a video will give; where its headers are silent, by its size."""
        frames = task.frames or round(task.bytes * self._frames_a_byte)
        return max(0, frames - self.options.step)

    def add(self, task: Task, pairs: int) -> None:
        """Count pairs of a task that goes on."""
        self._done[task.video] = self._done.get(task.video, 0) + pairs
        self._bar.update(pairs)

    def try_again(self, task: Task) -> bool:
        """After its worker's death: whether the task gets another chance."""
        self._deaths[task.video] = self._deaths.get(task.video, 0) + 1
        again = self._deaths[task.video] < TRIES and not self.stop.why
        if again:
            self._bar.update(-self._done.pop(task.video, 0))
        return again

    def try_engine_again(self, task: Task) -> bool:
        """After the engine failed: whether the task gets another chance, with a fresh one."""
        again = task.video not in self._engine_faults and not self.stop.why
        self._engine_faults.add(task.video)
        if again:
            self._bar.update(-self._done.pop(task.video, 0))
        return again

    def settle(self, task: Task, outcome: Outcome, lost: bool = False) -> None:
        """A task has come to its end. `lost`: an earlier worker of ours may have done it, and
        died before it could say so."""
        if outcome.status == "already" and (lost or task.video in self._deaths):
            outcome = replace(outcome, status="stored")
        done, expected = self._done.pop(task.video, 0), self._expected[task.video]
        truth = outcome.pairs if outcome.status == "stored" else 0
        if self._bar.total is not None:  # it falls where a video gives less than it promised
            self._bar.total = max(0, self._bar.total + min(0, truth - expected))
        self._bar.update(truth - done)
        if outcome.status == "fatal":
            self.stop.ask(outcome.reason)
            return
        if outcome.status == "engine":
            self.stop.ask(
                f"the flow engine failed twice at {outcome.video}: {outcome.reason}; "
                "no video is to blame; see `twostream doctor`, or take another --engine"
            )
            return
        if outcome.kind == DIED and self.stop.why:
            return  # it was dropped together with the run, not at fault
        source = as_text(task.path)
        before = len(self.summary.failures)
        self.summary.take(outcome, source)
        new = self.summary.failures[before:]
        settled = [task.video] if outcome.status in ("stored", "already") else []
        record(self.options.out, self.stop, new, settled)
        if new and self.options.on_error == "stop":
            self.stop.ask(f"{new[0].video}: {new[0].reason}")
        self._settled += 1
        self._bar.set_postfix_str(
            f"{self._settled}/{self._total} videos, {self.summary.failed} failed", refresh=False
        )


def outcome_of_event(event: Event) -> Outcome:
    """The outcome that an event means for its task."""
    video = event.job.video
    if event.kind == "done":
        outcome: Outcome = event.value
        return outcome
    if event.kind == "died":
        reason = f"{DIED}: {death(event.value)}, {TRIES} times"
        return Outcome(video, "failed", kind=DIED, reason=reason)
    return Outcome(video, "failed", kind="error", reason=f"error: {event.value}")


def death(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{name} (out of memory?)" if name == "SIGKILL" else name
