"""Walk a way: each step once, what failed and what rests on it left out, and a forecast."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from scripts.common import INTERRUPTED, Journal, Talk, walk
from scripts.exam.way import ExamStep
from storage import atomic
from storage.errors import UserError
from storage.progress import minutes


@dataclass
class Outcome:
    """What a walk came to."""

    done: int = 0
    """Steps that were done before or are done now."""
    failed: dict[Path, str] = field(default_factory=dict)
    """What could not be made, and why."""


class Forecast:
    """How long the rest takes: costs as measured once, times how much slower this walk has been."""

    PRIOR = 30.0
    """Seconds of cost that weigh as much as what was seen so far."""

    def __init__(self, costs: Iterable[float]) -> None:
        self.left = sum(costs)
        self.expected = self.taken = 0.0

    @property
    def factor(self) -> float:
        return (self.taken + self.PRIOR) / (self.expected + self.PRIOR)

    def passed(self, cost: float, seconds: float) -> None:
        self.left -= cost
        self.expected += cost
        self.taken += seconds

    def skipped(self, cost: float) -> None:
        self.left -= cost

    @property
    def text(self) -> str:
        return minutes(max(0.0, self.left) * self.factor)


def journal_of(out: Path, step: ExamStep) -> Journal:
    """One journal a question and seed, so that two calls can work on one exam."""
    return Journal(out / step.question / f"seed-{step.seed}" / "steps.json", str(out))


def undone(out: Path, way: list[ExamStep]) -> list[ExamStep]:
    """Steps that are left to do: those not done, and all that rest on them."""
    journals: dict[tuple[str, int], Journal] = {}
    anew: set[Path] = set()
    left = []
    for step in way:
        key = (step.question, step.seed)
        if key not in journals:
            journals[key] = journal_of(out, step)
        journal = journals[key]
        if (other := journal.changed([step])) is not None:
            raise UserError(
                f"{out} holds an exam with another budget ({other.makes.relative_to(out)} was "
                "made by other options): give another --out, or the options it was begun with"
            )
        if not journal.holds(step) or anew & set(step.needs):
            anew.add(step.makes)
            left.append(step)
    return left


def walk_all(out: Path, way: list[ExamStep], talk: Talk) -> Outcome:
    """Do what is left of a way."""
    left = undone(out, way)
    outcome = Outcome(done=len(way) - len(left))
    forecast = Forecast(step.cost for step in left)
    if not talk.quiet:
        before = f", {outcome.done} done before" if outcome.done else ""
        print_line(f"{len(way)} steps{before}; about {forecast.text} to go")
    for step in left:  # what an older one was made of is no longer there
        journal = journal_of(out, step)
        if journal.holds(step):
            discard(step.makes)
        journal.drop(step)
    for number, step in enumerate(left, len(way) - len(left) + 1):
        head = f"[{number}/{len(way)}] {step.question}, seed {step.seed}: {step.title}"
        missing = [need for need in step.needs if need in outcome.failed]
        if missing:
            outcome.failed[step.makes] = outcome.failed[missing[0]]
            forecast.skipped(step.cost)
            continue
        with alone(out, step):
            if journal_of(out, step).holds(step):  # another call has done it meanwhile
                forecast.skipped(step.cost)
                outcome.done += 1
                continue
            began, processor = time.monotonic(), processor_seconds()
            fault = run_step(out, step, talk)
            seconds, processor = time.monotonic() - began, processor_seconds() - processor
            forecast.passed(step.cost, seconds)
            if fault:
                outcome.failed[step.makes] = f"{step.title}: {fault}"
                print_line(f"{head}: failed, {fault}")
                continue
            journal_of(out, step).add(step)
            note_time(out, step, processor)
            outcome.done += 1
        if not talk.quiet:
            print_line(f"{head}: {seconds:.0f} s; about {forecast.text} to go")
    return outcome


@contextmanager
def alone(out: Path, step: ExamStep) -> Iterator[None]:
    """No other call works on this question and seed meanwhile. The system drops the lock of a
    process that is gone."""
    path = out / step.question / f"seed-{step.seed}" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print_line(f"waiting for another call that works on {step.question}, seed {step.seed}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run_step(out: Path, step: ExamStep, talk: Talk) -> str:
    """Why a step failed; empty where it did not. What it says goes into the sitting's log."""
    log = out / step.question / f"seed-{step.seed}" / "log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    step.makes.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        print(f"\n$ {step.typed}", file=file, flush=True)
        begin = file.tell()
        try:
            if talk.verbose:
                print_line(f"      {step.typed}")
                code = walk(step)
            else:
                with redirect_stdout(file), redirect_stderr(file):
                    code = walk(step)
        finally:
            logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if not code:
        return ""
    said = log.read_bytes()[begin:].decode("utf-8", "replace").strip().splitlines()
    return said[-1] if said and not talk.verbose else f"exit code {code}"


def processor_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def times_of(out: Path, question: str, seed: int) -> dict[str, float]:
    """What was made -> processor seconds that it took."""
    path = out / question / f"seed-{seed}" / "seconds.json"
    try:
        times: dict[str, float] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return times


def note_time(out: Path, step: ExamStep, seconds: float) -> None:
    times = times_of(out, step.question, step.seed)
    times[str(step.makes.relative_to(out))] = round(seconds, 1)
    path = out / step.question / f"seed-{step.seed}" / "seconds.json"
    atomic.write_text(path, json.dumps(times, indent=1) + "\n")


def discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def print_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
