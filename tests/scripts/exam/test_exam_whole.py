"""The exam as a real process: from nothing to its page, killed on the way, and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from surroundings import ROOT

Command = Callable[..., subprocess.CompletedProcess[str]]
TINY = (
    *("--questions", "fine", "--systems", "spatial", "temporal", "late-average", "network:gru"),
    *("--steps", "3", "--sequence-steps", "6", "--families", "0.05"),
)


def made(out: Path) -> dict[str, int]:
    """What is done -> when it was last written, ns."""
    times = {}
    for journal in out.glob("*/*/steps.json"):
        for makes in json.loads(journal.read_text()):
            times[makes] = (out / makes.replace("{out}/", "")).stat().st_mtime_ns
    return times


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_exam_that_is_killed_goes_on_and_ends_with_the_same_figures(
    twostream: Command, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    words = [sys.executable, "-m", "scripts", "exam", "--out", str(cut), *TINY]
    process = subprocess.Popen(
        words,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    journal, deadline = cut / "fine" / "seed-0" / "steps.json", time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and len(json.loads(journal.read_text())) >= 3:
            break
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = made(cut)
    assert len(before) >= 3

    done = twostream("exam", "--out", cut, *TINY, timeout=280)
    assert done.returncode == 0, done.stderr
    assert f"{len(before)} done before" in done.stderr
    assert "late fusion" in done.stdout.lower()
    after = made(cut)
    assert {makes: after[makes] for makes in before} == before
    again = twostream("exam", "--out", cut, *TINY, "--json")
    assert made(cut) == after
    cells = json.loads(again.stdout)["cells"]
    assert len(cells) == 4
    assert (cut / "index.html").stat().st_size < 2e6

    refused = twostream("exam", "--out", cut, *TINY[:-1], "0.1")
    assert refused.returncode == 2
    assert "another budget" in refused.stderr

    twostream("exam", "--out", whole, *TINY, "--quiet", timeout=280)
    figures = json.loads((whole / "results.json").read_text())["cells"]
    assert [cell["value"] for cell in figures] == [cell["value"] for cell in cells]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_quick_exam_shows_who_remembers_what_came_first(
    twostream: Command, tmp_path: Path
) -> None:
    """VLAD and attention are right in half of all choices, to the last one; the LSTM in nearly all.
    None of them sees colour."""
    done = twostream("exam", "--out", tmp_path / "exam", "--quick", "--json", timeout=1700)
    assert done.returncode == 0, done.stderr
    cells = {(cell["system"], cell["question"]): cell for cell in json.loads(done.stdout)["cells"]}
    assert cells["vlad", "order"]["value"] == 0.5
    assert cells["attention", "order"]["value"] == 0.5
    assert cells["lstm", "order"]["verdict"] == "as it must be"
    assert cells["lstm", "order"]["value"] >= 0.95
    for system in ("lstm", "vlad", "attention"):
        assert cells[system, "what-and-how"]["value"] <= 0.25


def test_the_list_names_systems_questions_and_families(twostream: Command) -> None:
    said = twostream("exam", "--list").stdout
    for name in ("conv-fusion", "binding", "vlad_fisher"):
        assert name in said


def test_a_dry_run_prints_commands_and_makes_nothing(twostream: Command, tmp_path: Path) -> None:
    done = twostream("exam", "--out", tmp_path / "exam", "--quick", "--dry-run")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("python -m scripts.samples.exam_data")
    assert any(line.startswith("twostream train sequence") for line in lines)
    assert f"{len(lines) - 1} of {len(lines) - 1} steps" in lines[-1]
    assert not (tmp_path / "exam").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--questions", "colour"), "--questions 'colour' is not one of what-and-how"),
        (("--systems", "lstn"), "--systems 'lstn' is not one of spatial"),
        (("--seeds", "0"), "--seeds 0 must lie in 1 to 100"),
        (("--steps", "0"), "must both be at least 1"),
        (("--so-far",), "has no score table yet"),
    ],
)
def test_a_mistake_is_named_before_any_work(
    words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts.exam.command import main

    assert main(["--out", str(tmp_path / "exam"), *words]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "exam").exists()
