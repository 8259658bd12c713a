"""Runs: one training at a time, gone on with by their folder, made longer, scored when whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from feature_material import write_made
from streams_tiny import Tiny, start
from surroundings import ROOT
from test_ends import loaders
from test_ends import train as endless

from scripts.cli import main
from storage.errors import UserError
from storage.scores import read_scores
from streams.training import checkpoint, percent
from streams.training.log_file import logged
from streams.training.run_folder import RunFolder, longer_than
from streams.training.run_lock import alone

QUICK = "--network karpathy-single --recipe small --size 32 --batch 4 --workers 0 --quiet"


def command(tiny: Tiny, out: Path, *more: str) -> list[str]:
    words = ["train", "spatial", "--store", str(tiny.store), "--labels", str(tiny.labels)]
    return [*words, "--out", str(out), *QUICK.split(), *more]


def step_of(out: Path) -> int:
    return int(checkpoint.load(RunFolder(out).last)["state"]["step"])


HOLD = """
import sys, time
from pathlib import Path
from streams.training.run_lock import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_is_held_by_one_process_and_not_by_a_dead_one(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    words = [sys.executable, "-c", HOLD, str(lock)]
    holder = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    said = f"{tmp_path} is being trained by process {holder.pid} on"
    with pytest.raises(UserError, match=said), alone(lock):
        pass
    holder.kill()
    holder.communicate()
    assert lock.exists()
    with alone(lock):
        assert f"process {os.getpid()} " in lock.read_text()
    assert not lock.exists()


@pytest.mark.slow
def test_a_second_training_into_a_folder_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    """Also with --restart, and a killed one keeps nobody out."""
    out = tmp_path / "run"
    first = start(endless(tiny, out, "--workers", "1", "--save-every", "2"))
    try:
        loaders(first, out, 1)
        for more in ((), ("--restart",)):
            second = start(endless(tiny, out, "--workers", "0", *more))
            said = second.communicate(timeout=120)[0]
            assert second.returncode == 2, said
            (line,) = said.strip().splitlines()
            assert f"{out} is being trained by process {first.pid}" in line
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    third = start(endless(tiny, out, "--workers", "0", "--save-every", "1"))
    before = step_of(out)
    while third.poll() is None and step_of(out) <= before:
        time.sleep(0.1)
    os.killpg(third.pid, signal.SIGKILL)
    said = third.communicate()[0]
    assert step_of(out) > before, said


@pytest.fixture(scope="module")
def trained(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 2 epochs (6 steps) under unusual options."""
    out = tmp_path_factory.mktemp("runs") / "run"
    more = ["--epochs", "2", "--lr", "0.003", "--flip", "--no-nesterov", "--name", "mine"]
    assert main(command(tiny, out, *more, "--seed", "5", "--milestones", "0.5", "0.75")) == 0
    return out


def test_a_run_keeps_its_options_and_what_it_said(trained: Path) -> None:
    values = yaml.safe_load((trained / "run.yaml").read_text())
    assert values["kind"] == "spatial"
    assert (values["lr"], values["flip"], values["nesterov"]) == (0.003, True, False)
    assert values["milestones"] == [0.5, 0.75]
    assert not {"out", "quiet", "restart", "resume"} & values.keys()
    assert "validation top-1" in (trained / "log.txt").read_text()
    assert not (trained / "lock").exists()


@pytest.mark.parametrize("older", [False, True])
def test_a_finished_run_is_made_longer_under_its_own_options(
    trained: Path, tmp_path: Path, older: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Older runs have no run.yaml; then its config.json tells."""
    out = shutil.copytree(trained, tmp_path / "run")
    if older:
        (out / "run.yaml").unlink()
    assert main(["train", "--resume", str(out), "--quiet", "--workers", "0"]) == 0
    assert step_of(out) == 6, "without more epochs it stays as it is"
    assert main(["train", "--resume", str(out), "--epochs", "3", "--quiet", "--workers", "0"]) == 0
    assert step_of(out) == 9
    config = json.loads((out / "config.json").read_text())
    assert config["settings"]["recipe"]["optim"]["epochs"] == 3
    assert config["settings"]["recipe"]["optim"]["lr"] == 0.003
    assert config["made"]["lengthened"] == [{"step": 6, "from": 6, "to": 9}]
    rates = {r["step"]: r["lr"] for r in RunFolder(out).rows() if r["part"] == "train"}
    assert rates[6] < rates[9] or rates[9] > 0, rates
    capsys.readouterr()
    assert main(["train", "spatial", "--resume", str(out), "--epochs", "2", "--quiet"]) == 2
    assert "recipe.optim.epochs was 3, now 2" in capsys.readouterr().err


KINDS_OF_OPTIONS = {
    "motion": ["--recipe", "small", "--size", "32", "--learn", "all"],
    "sequence": ["--recipe", "small", "--network", "gru", "--hidden", "8", "--length", "6"],
}


@pytest.mark.parametrize("kind", KINDS_OF_OPTIONS)
def test_every_kind_is_gone_on_with_by_its_folder(
    kind: str, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, quick = tmp_path / "run", ["--batch", "4", "--quiet", "--workers", "0"]
    data = ["--store", str(tiny.store), "--labels", str(tiny.labels)]
    if kind == "sequence":
        features = write_made(tmp_path / "features")
        data = ["--features", str(features.rgb), "--labels", str(features.labels)]
    words = ["train", kind, *data, *KINDS_OF_OPTIONS[kind], *quick, "--out", str(out)]
    assert main([*words, "--steps", "2", "--seed", "4"]) == 0
    before = RunFolder(out).read()["settings"]
    assert main(["train", "--resume", str(out), "--steps", "3", "--quiet"]) == 0
    assert step_of(out) == 3
    settings = RunFolder(out).read()["settings"]
    before["recipe"]["optim"]["steps"] = 3
    assert settings == before
    if kind != "sequence":
        return
    last = RunFolder(out).last
    saved = checkpoint.load(last)
    saved["state"]["finished"] = False
    del saved["format"]
    checkpoint.save(last, saved)
    table = tmp_path / "z.json"
    scoring = ["score", str(out), *data, "--out", str(table), "--quiet", "--workers", "0"]
    assert main(scoring) == 2
    capsys.readouterr()
    assert main([*scoring, "--unfinished"]) == 0
    assert "was not trained to its end; the table says so" in capsys.readouterr().out
    assert read_scores(table).provenance["unfinished"] is True


def test_more_epochs_alone_are_refused_with_the_way_to_go(
    tiny: Tiny, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--epochs", "9", "--lr", "0.003", "--flip", "--no-nesterov", "--name", "mine"]
    words = command(tiny, trained, *more, "--seed", "5", "--milestones", "0.5", "0.75")
    assert main(words) == 2
    assert f"`twostream train --resume {trained}`" in capsys.readouterr().err


def test_the_longer_schedule_is_the_one_that_was_asked_for() -> None:
    def settings(**optim: object) -> dict[str, object]:
        plan = {"epochs": 2, "steps": 0, "batch": 4, "lr": 0.1} | optim
        return {"recipe": {"optim": plan}, "data": {"count": {"train": 12}}, "seed": 1}

    assert longer_than(settings(), settings(epochs=5)) == {"from": 6, "to": 15}
    assert longer_than(settings(), settings(steps=7)) == {"from": 6, "to": 7}
    assert longer_than(settings(), settings(steps=5)) == {}
    assert longer_than(settings(), settings(epochs=5, lr=0.2)) == {}
    assert longer_than(settings(), settings(epochs=5) | {"seed": 2}) == {}


def test_options_come_from_a_file_and_the_call_counts_more(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = trained / "run.yaml", tmp_path / "again"
    words = ["--config", str(file), "--out", str(out), "--steps", "1", "--no-flip", "--quiet"]
    assert main(["train", *words]) == 0
    recipe = RunFolder(out).read()["settings"]["recipe"]
    assert (recipe["optim"]["lr"], recipe["optim"]["steps"]) == (0.003, 1)
    assert recipe["crop"]["flip"] is False
    own = tmp_path / "own.yaml"
    for text, told in (
        ("- a\n", "does not hold lines"),
        ("a: [\n", "is not readable YAML"),
        ("kind: spatial\nsped: 3\n", "--sped"),
        ("kind: sound\n", "'sound' is not one of"),
    ):
        own.write_text(text)
        capsys.readouterr()
        assert main(["train", "--config", str(own), "--out", str(out)]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert told in line
    assert main(["train", "temporal", "--config", str(file), "--out", str(out)]) == 2
    assert "options of a spatial run, not of temporal" in capsys.readouterr().err


def score(tiny: Tiny, run: Path, out: Path, *more: str) -> list[str]:
    words = ["score", str(run), "--store", str(tiny.store), "--labels", str(tiny.labels)]
    return [*words, "--out", str(out), "--views", "1x1", "--workers", "0", "--quiet", *more]


def test_a_score_table_is_what_its_ending_says(
    tiny: Tiny, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = []
    for ending in ("npz", "csv", "json"):
        out = tmp_path / f"z.{ending}"
        assert main(score(tiny, trained, out)) == 0
        tables.append(read_scores(out))
    assert (tmp_path / "z.csv").read_text().startswith("# {")
    assert "videos" in json.loads((tmp_path / "z.json").read_text())
    for table in tables[1:]:
        assert np.array_equal(table.scores, tables[0].scores)
    capsys.readouterr()
    assert main(score(tiny, tmp_path / "no-run", tmp_path / "z.xls")) == 2
    assert "z.xls ends in .xls; give a file ending in .npz, .csv" in capsys.readouterr().err


def test_the_summary_of_scores_is_for_people(
    tiny: Tiny, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(score(tiny, trained, tmp_path / "z.npz")) == 0
    said = capsys.readouterr().out
    assert "ScoreTable(" not in said
    assert " of 8 videos right, top-1 " in said
    assert "(0 padded: their last pair repeats)" in said
    assert percent(1 / 8, 8) in ("12 %", "13 %")


def test_an_unfinished_run_is_scored_on_request(
    tiny: Tiny, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    last = RunFolder(run).last
    saved = checkpoint.load(last)
    saved["state"]["finished"] = False
    del saved["format"]
    checkpoint.save(last, saved)
    out = tmp_path / "z.npz"
    assert main(score(tiny, run, out)) == 2
    told = capsys.readouterr().err
    assert "is not trained to its end" in told
    assert "--unfinished" in told
    assert main(score(tiny, run, out, "--unfinished")) == 0
    assert "was not trained to its end; the table says so" in capsys.readouterr().out
    assert read_scores(out).provenance["unfinished"] is True


def test_a_log_says_how_a_sitting_ended(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with pytest.raises(UserError), logged(log):
        raise UserError("too\nbad")
    assert log.read_text().splitlines()[-1].endswith("ends early: too bad")
    (tmp_path / "folder").mkdir()
    with logged(tmp_path / "folder"):  # it cannot be written, and that stops nothing
        pass
