"""Steps are done once, in order; what fails costs what rests on it, and nothing else."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.common import INTERRUPTED, Talk
from scripts.exam import walking as module
from scripts.exam.walking import (
    Forecast,
    Outcome,
    alone,
    journal_of,
    times_of,
    undone,
    walk_all,
)
from scripts.exam.way import ExamStep
from storage.errors import UserError

QUIET = Talk(quiet=True)


class Commands:
    """Stands for the project's commands: writes what a step makes, and remembers."""

    def __init__(self) -> None:
        self.walked: list[str] = []
        self.codes: dict[str, int] = {}
        self.said = ""

    def walk(self, step: ExamStep, *, quiet: bool = False) -> int:
        self.walked.append(step.title)
        print(self.said, file=sys.stderr)
        code = self.codes.get(step.title, 0)
        if code:
            print(f"twostream: {step.title} cannot be", file=sys.stderr)
        else:
            assert not step.makes.exists(), "an old one is thrown away before"
            step.makes.write_text(step.title)
        return code


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    there = Commands()
    monkeypatch.setattr(module, "walk", there.walk)
    return there


def way(out: Path, *more: str) -> list[ExamStep]:
    """a; b on a; c on b; d on a."""
    rests = {"a": "", "b": "a", "c": "b", "d": "a"}
    return [
        ExamStep(
            name,
            (name, str(out), *more),
            out / "q" / "seed-0" / name,
            tuple(out / "q" / "seed-0" / need for need in needs),
            1.0,
            "q",
            0,
        )
        for name, needs in rests.items()
    ]


def test_what_is_done_is_not_done_again(tmp_path: Path, commands: Commands) -> None:
    first = walk_all(tmp_path, way(tmp_path), QUIET)
    assert (commands.walked, first.done) == (["a", "b", "c", "d"], 4)
    assert set(times_of(tmp_path, "q", 0)) == {f"q/seed-0/{name}" for name in "abcd"}
    assert walk_all(tmp_path, way(tmp_path), QUIET).done == 4
    assert len(commands.walked) == 4
    assert undone(tmp_path, way(tmp_path)) == []


def test_an_exam_that_was_moved_goes_on(tmp_path: Path, commands: Commands) -> None:
    walk_all(tmp_path / "here", way(tmp_path / "here")[:2], QUIET)
    (tmp_path / "here").rename(tmp_path / "there")
    walk_all(tmp_path / "there", way(tmp_path / "there"), QUIET)
    assert commands.walked == ["a", "b", "c", "d"]


def test_what_rests_on_something_that_is_made_again_is_made_again(
    tmp_path: Path, commands: Commands
) -> None:
    walk_all(tmp_path, way(tmp_path), QUIET)
    (tmp_path / "q" / "seed-0" / "b").unlink()
    commands.walked.clear()
    walk_all(tmp_path, way(tmp_path), QUIET)
    assert commands.walked == ["b", "c"]


def test_a_stop_between_keeps_what_rests_on_it_undone(tmp_path: Path, commands: Commands) -> None:
    walk_all(tmp_path, way(tmp_path), QUIET)
    (tmp_path / "q" / "seed-0" / "a").unlink()
    commands.codes["b"] = INTERRUPTED
    with pytest.raises(KeyboardInterrupt):
        walk_all(tmp_path, way(tmp_path), QUIET)
    assert not (tmp_path / "q" / "seed-0" / "c").exists(), "made of an a that is gone"
    commands.codes.clear()
    commands.walked.clear()
    walk_all(tmp_path, way(tmp_path), QUIET)
    assert commands.walked == ["b", "c", "d"]


def test_a_fault_costs_what_rests_on_it(
    tmp_path: Path, commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.codes["b"] = 1
    outcome = walk_all(tmp_path, way(tmp_path), QUIET)
    assert commands.walked == ["a", "b", "d"]
    said = "b: twostream: b cannot be"
    assert outcome.failed == {tmp_path / "q" / "seed-0" / name: said for name in "bc"}
    assert "failed, twostream: b cannot be" in capsys.readouterr().err
    commands.codes.clear()
    assert walk_all(tmp_path, way(tmp_path), QUIET).done == 4


def test_the_fault_is_the_last_line_however_wide_the_letters_before_it(
    tmp_path: Path, commands: Commands
) -> None:
    commands.said = "█" * 100
    commands.codes["b"] = 1
    outcome = walk_all(tmp_path, way(tmp_path), QUIET)
    assert outcome.failed[tmp_path / "q" / "seed-0" / "b"] == "b: twostream: b cannot be"


def test_another_budget_is_refused(tmp_path: Path, commands: Commands) -> None:
    walk_all(tmp_path, way(tmp_path)[:1], QUIET)
    with pytest.raises(UserError, match="another budget"):
        walk_all(tmp_path, way(tmp_path, "--steps"), QUIET)


def test_progress_says_what_is_to_come(
    tmp_path: Path, commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    walk_all(tmp_path, way(tmp_path), Talk())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "4 steps; about 0:04 to go"
    assert lines[-1].startswith("[4/4] q, seed 0: d: 0 s; about 0:00 to go")


costs = st.lists(st.floats(1, 1000), min_size=2, max_size=30)


@given(costs, st.floats(0.2, 20))
def test_the_forecast_of_an_even_machine_converges(each: list[float], factor: float) -> None:
    """Where every step takes `factor` times its cost, it tends to that factor, from 1."""
    forecast = Forecast(each)
    for cost in each[:-1]:
        before = forecast.factor
        forecast.passed(cost, cost * factor)
        assert abs(forecast.factor - factor) <= abs(before - factor) + 1e-9
        assert min(1, factor) - 1e-9 <= forecast.factor <= max(1, factor) + 1e-9
    assert forecast.left == pytest.approx(each[-1], rel=1e-6, abs=1e-6)


def test_two_calls_share_an_exam(tmp_path: Path, commands: Commands) -> None:
    """The one waits for a step of the other, and does not do it again."""
    (step, *_) = way(tmp_path)
    outcomes: list[Outcome] = []
    waiting = threading.Thread(
        target=lambda: outcomes.append(walk_all(tmp_path, [step], Talk(quiet=True)))
    )
    with alone(tmp_path, step):
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        step.makes.write_text("a")
        journal_of(tmp_path, step).add(step)
    waiting.join(10)
    assert outcomes[0].done == 1
    assert commands.walked == []
