"""Trackers beside TensorBoard: a run here is a run there, and theirs cannot end ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from streams_tiny import Tiny
from surroundings import ROOT

from storage.errors import UserError
from streams.inputs import FlowStack
from streams.networks import NetworkOptions
from streams.samples import Crop, DataOptions, Sampling, open_source
from streams.training import (
    LoopOptions,
    Optimisation,
    Ranks,
    Recipe,
    RunFolder,
    StreamTask,
    trackers,
    train,
)
from streams.training.trackers import Trackers, check_trackers

ROWS = [("train", 10, {"loss": 2.5, "lr": 0.01}), ("validation", 20, {"loss": 2.0, "top1": 0.25})]
HAS_ALCHEMY = find_spec("sqlalchemy") is not None
"""MLflow keeps its runs in a data base; without this package in files."""
SETTINGS = {"seed": 3, "recipe": {"optim": {"lr": 0.01, "milestones": [0.5, 0.8]}}}


class Recorder:
    """A tracker that writes down what it is told, and may fail."""

    def __init__(self, name: str, known: str | None, settings: dict) -> None:
        self.id = known or f"{name}-1"
        self.rows: list = []
        self.whole: bool | None = None
        self.fails = False
        OPENED.append(self)

    def add(self, part: str, step: int, row: dict[str, float]) -> None:
        if self.fails:
            raise ConnectionError("no route\nto host")
        self.rows.append((part, step, row))

    def close(self, whole: bool) -> None:
        self.whole = whole


OPENED: list[Recorder] = []


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    OPENED.clear()
    monkeypatch.setattr(trackers, "TRACKERS", {"wandb": Recorder, "mlflow": Recorder})
    monkeypatch.setattr(trackers, "find_spec", lambda name: True)
    return OPENED


def sitting(folder: Path, names: tuple[str, ...] = ("wandb", "mlflow")) -> Trackers:
    folder.mkdir(exist_ok=True)
    return Trackers(names, folder, folder / "trackers.json", SETTINGS)


def test_a_run_that_goes_on_is_the_same_run_there(tmp_path: Path, recorded: list[Recorder]) -> None:
    both = sitting(tmp_path / "run")
    for row in ROWS:
        both.add(*row)
    both.close(whole=False)
    assert [one.rows for one in recorded] == [ROWS, ROWS]
    assert [one.whole for one in recorded] == [False, False]
    sitting(tmp_path / "run").close(whole=True)
    assert [one.id for one in recorded] == ["run-1"] * 4
    assert json.loads((tmp_path / "run/trackers.json").read_text()) == {
        "wandb": "run-1",
        "mlflow": "run-1",
    }


def test_a_tracker_that_fails_is_left_out_and_said_once(
    tmp_path: Path, recorded: list[Recorder], caplog: pytest.LogCaptureFixture
) -> None:
    both = sitting(tmp_path / "run")
    recorded[0].fails = True
    for row in ROWS:
        both.add(*row)
    both.close(whole=True)
    assert recorded[1].rows == ROWS
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        "wandb fails and is left out from here on (the training goes on): "
        "ConnectionError: no route to host"
    )


def test_a_training_sends_the_lines_of_its_metrics(
    tiny: Tiny, tmp_path: Path, recorded: list[Recorder]
) -> None:
    recipe = Recipe(
        FlowStack(2),
        Sampling(1),
        Crop(size=24),
        NetworkOptions(depth=18, weights="none"),
        Optimisation(steps=2, batch=4, warmup=0),
    )
    source = open_source(DataOptions(tiny.store, tiny.labels), {"temporal": recipe.input})
    folder = RunFolder(tmp_path / "run")
    task = StreamTask("temporal", recipe, source, 3)
    alone, loop = Ranks(0, 1, torch.device("cpu")), LoopOptions(workers=0)
    train(task, folder, alone, loop, quiet=True, track=("mlflow",))
    (one,) = recorded
    assert one.whole
    assert [{"part": part, "step": step, **row} for part, step, row in one.rows] == folder.rows()
    assert {part for part, _, _ in one.rows} == {"train", "validation"}


def test_what_is_unknown_or_not_installed_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="choose wandb or mlflow"):
        check_trackers(["neptune"])
    with pytest.raises(UserError, match=r"pip install 'twostream\[mlflow\]'"):
        check_trackers(["mlflow"])
    check_trackers([])


def test_nothing_is_imported_where_no_tracker_is_asked_for() -> None:
    code = (
        "import sys, streams.training.progress; "
        "assert not {'wandb', 'mlflow'} & set(sys.modules), 'imported'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=120
    )
    assert done.returncode == 0


REAL = """
import json, os, sys
from pathlib import Path
from streams.training.trackers import Trackers
name, folder = sys.argv[1], Path(sys.argv[2])
rows, settings = json.loads(sys.argv[3])
for part, step, row in rows:  # a sitting each
    tracker = Trackers([name], folder, folder / "trackers.json", settings)
    tracker.add(part, step, row)
    assert tracker._open, "it failed"
    tracker.close(whole=True)
"""


def act(name: str, folder: Path, **variables: str) -> str:
    """Two sittings in a process of their own; the id that both have there."""
    pytest.importorskip(name, reason=f"pip install 'twostream[{name}]'", exc_type=ImportError)
    (folder / "run").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", REAL, name, str(folder / "run"), json.dumps([ROWS, SETTINGS])],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads((folder / "run/trackers.json").read_text())[name])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_itself_has_the_curves_and_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"sqlite:///{tmp_path}/runs.db" if HAS_ALCHEMY else (tmp_path / "runs").as_uri()
    found = act("mlflow", tmp_path, MLFLOW_TRACKING_URI=place, MLFLOW_ALLOW_FILE_STORE="true")
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient(place)
    run = client.get_run(found)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "run"
    assert run.data.params["recipe.optim.lr"] == "0.01"
    assert run.data.metrics["validation/top1"] == 0.25
    assert [point.step for point in client.get_metric_history(found, "train/loss")] == [10]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_itself_writes_a_run_without_a_network(tmp_path: Path) -> None:
    found = act("wandb", tmp_path, WANDB_MODE="offline", WANDB_DIR=str(tmp_path))
    files = list((tmp_path / "wandb").glob(f"offline-run-*-{found}/run-{found}.wandb"))
    assert len(files) == 2
    content = b"".join(file.read_bytes() for file in files)
    for words in (b"train/loss", b"validation/top1", b"milestones"):
        assert words in content
