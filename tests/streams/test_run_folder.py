"""Run folders, checkpoints, schedules, recipes: the plain parts of training."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from storage.errors import UserError
from streams.networks.options import NetworkOptions
from streams.training import checkpoint
from streams.training.curve import draw_curve
from streams.training.distributed import Ranks, pick_device
from streams.training.metrics import Tally, better
from streams.training.optimisation import Optimisation
from streams.training.options import LoopOptions
from streams.training.precision import Precision
from streams.training.recipes import RECIPES, recipe, recipe_from
from streams.training.run_folder import RunFolder, differences
from streams.training.schedule import learning_rate, steps_per_epoch, total_steps
from streams.training.task import Step

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("kind", ["spatial", "temporal", "difference"])
def test_recipes_survive_json(name: str, kind: str) -> None:
    made = recipe(name, kind)
    assert recipe_from(json.loads(json.dumps(made.settings()))) == made


def test_published_values() -> None:
    temporal, spatial = recipe("2014", "temporal"), recipe("2014", "spatial")
    assert (temporal.input.length, temporal.input.subtract_mean) == (10, True)
    assert temporal.sampling.balanced
    total = total_steps(temporal.optim, 9537)
    assert total == 80_000
    rates = [learning_rate(temporal.optim, s, total) for s in (0, 49_999, 50_000, 70_000, 79_999)]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4, 1e-4])
    rates = [learning_rate(spatial.optim, s, 20_000) for s in (0, 13_999, 14_000)]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3])
    assert (spatial.crop.jitter, temporal.crop.jitter) == (0.1, 0.0)
    for kind in ("spatial", "temporal"):
        assert recipe("tsn", kind).crop.pairs == "even"
    tsn = recipe("tsn", "temporal")
    assert tsn.network.first_layer == "mean"
    assert (tsn.input.length, tsn.sampling.segments, tsn.network.dropout) == (5, 3, 0.7)
    assert (tsn.network.batch_norm, tsn.optim.clip, tsn.optim.lr) == ("partial", 20, 5e-3)


def test_schedules() -> None:
    optim = Optimisation(epochs=10, batch=10, lr=1.0, warmup=0.1)
    assert (steps_per_epoch(104, 10), steps_per_epoch(3, 10)) == (10, 1)
    assert total_steps(optim, 104) == 100
    rates = [learning_rate(optim, step, 100) for step in range(100)]
    assert rates[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.001
    assert learning_rate(replace(optim, schedule="constant"), 99, 100) == 1.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 0}, "--epochs 0"),
        ({"batch": 0}, "must be at least 1"),
        ({"batch": 5, "accumulate": 2}, "does not divide"),
        ({"lr": 0.0}, "--lr 0.0 must be positive"),
        ({"lr": float("nan")}, "--lr nan must be positive"),
        ({"ema": 1.0}, r"must lie in \[0, 1\)"),
        ({"momentum": 0.0}, "--nesterov needs"),
    ],
)
def test_optimisation_that_makes_no_sense(changes: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Optimisation(**changes)  # type: ignore[arg-type]


def test_other_values_that_make_no_sense() -> None:
    with pytest.raises(UserError, match=r"--dropout 1\.0"):
        NetworkOptions(dropout=1.0)
    with pytest.raises(UserError, match="--recipe 'best' is not one of 2014"):
        recipe("best", "spatial")
    with pytest.raises(UserError, match="stream 'sound'"):
        recipe("tsn", "sound")
    with pytest.raises(UserError, match="--workers"):
        LoopOptions(workers=-2)
    with pytest.raises(UserError, match="--amp fp16 needs a GPU"):
        Precision.choose("fp16", CPU)
    with pytest.raises(UserError, match="--device 'gpu' is not known"):
        pick_device("gpu", 0)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="sees no GPU"):
            pick_device("cuda", 0)
    assert pick_device("auto", 0).type in ("cpu", "cuda")
    assert LoopOptions().loading_processes(1000) == 1


def test_a_checkpoint_is_whole_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "last.pt"
    checkpoint.save(file, {"model": {"w": torch.ones(1000)}, "step": 3})
    assert checkpoint.load(file)["step"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]
    data = file.read_bytes()
    for cut in (0, 10, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:cut])
        with pytest.raises(UserError, match=r"last.pt is damaged or no checkpoint .*--restart"):
            checkpoint.load(file)
    torch.save({"step": 3}, file)
    with pytest.raises(UserError, match="not a checkpoint of this version"):
        checkpoint.load(file)
    with pytest.raises(UserError, match="does not exist"):
        checkpoint.load(tmp_path / "none.pt")


def test_a_run_is_gone_on_with_only_under_its_settings(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    settings = {"seed": 1, "recipe": {"optim": {"lr": 0.1, "milestones": (1, 2)}}}
    assert folder.begin(settings, {"device": "cpu"}) is False
    assert folder.begin(settings, {}) is False  # begun, but no checkpoint yet
    folder.best.write_bytes(b"of a run that was killed before its first last.pt")
    assert folder.begin(settings | {"seed": 2}, {}) is False
    assert not folder.best.exists(), "another run's weights would be scored as this one's"
    assert folder.begin(settings, {}) is False
    folder.last.write_bytes(b"x")
    assert folder.begin(settings, {}) is True
    settings["recipe"]["optim"]["lr"] = 0.2  # type: ignore[index]
    with pytest.raises(UserError, match=r"recipe.optim.lr was 0.1, now 0.2; .*--restart"):
        folder.begin(settings, {})
    config = folder.read()
    assert config["made"]["versions"]["torch"]
    folder.clear()
    assert list(folder.path.iterdir()) == []
    assert folder.begin(settings, {}) is False


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="not empty and not a run folder"):
        RunFolder(tmp_path).begin({}, {})
    RunFolder(tmp_path).clear()
    assert (tmp_path / "thesis.tex").exists()
    with pytest.raises(UserError, match=r"no config\.json"):
        RunFolder(tmp_path).read()
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        RunFolder(tmp_path).read()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="another version"):
        RunFolder(tmp_path).read()


def test_lines_after_a_checkpoint_are_forgotten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (10, 20, 30):
        folder.log({"part": "train", "step": step, "loss": 1.0})
    with folder.metrics.open("a") as file:
        file.write('{"part": "train", "st')  # the line in which the process was killed
    folder.forget_after(20)
    assert [row["step"] for row in folder.rows()] == [10, 20]
    assert folder.metrics.read_text().count("\n") == 2


def test_differences_in_words() -> None:
    assert differences({"a": [1], "b": 1}, {"a": (1,), "b": 1}) == []
    assert differences({"a": {"b": 1}}, {"a": {"b": 2}, "c": 3}) == [
        "a.b was 1, now 2",
        "c was null, now 3",
    ]


def test_tallies_add_up() -> None:
    tally, where = Tally(), Ranks(0, 1, CPU)
    logits = torch.eye(8)[[0, 1, 2]]
    tally.add(Step(torch.tensor(1.0), logits), torch.tensor([0, 1, 7]))
    tally.add(Step(torch.tensor(3.0), logits[:1]), torch.tensor([3]))
    result = tally.result(where)
    assert result["loss"] == pytest.approx(1.5)
    assert result["top1"] == 0.5
    assert Tally().result(where) == {"loss": 0, "top1": 0, "top5": 0}
    unlabelled = Tally(measures={"epe": 0.0}, answers=False)
    unlabelled.add(Step(torch.tensor(1.0), None, measures={"epe": 2.0}), torch.zeros(3))
    unlabelled.add(Step(torch.tensor(5.0), None, measures={"epe": 6.0}), torch.zeros(1))
    assert unlabelled.result(where) == {"loss": 2, "epe": 3}
    assert better({"loss": 1}, {"loss": 2})
    assert better({"top1": 0.5, "loss": 1}, None)
    assert better({"top1": 0.5, "loss": 1}, {"top1": 0.5, "loss": 2})
    assert not better({"top1": 0.5, "loss": 1}, {"top1": 0.6, "loss": 9})
    assert better({"top1": 0.5, "loss": 1}, {"top1": 0.6, "loss": 9}, "loss")
    assert not better({"top1": 0.7, "loss": 9}, {"top1": 0.6, "loss": 9}, "loss")


def test_the_curve_is_a_picture(tmp_path: Path) -> None:
    rows = [{"part": "train", "step": s, "loss": 1 / s, "top1": 0.5, "lr": 0.1} for s in (1, 2)]
    rows.append({"part": "validation", "step": 2, "loss": 0.5, "top1": 0.7})
    draw_curve(rows, tmp_path / "curve.png", "run")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_torchvision_is_imported_whether_or_not_it_needs_help() -> None:
    """In a fresh process: the import works, and says what it did."""
    code = (
        "from streams.networks.torchvision_compat import OPERATORS, WORKAROUND, is_declared\n"
        "from streams.networks.torchvision_compat import models, v2\n"
        "import torch\n"
        "assert all(map(is_declared, OPERATORS)), 'not declared'\n"
        "models.resnet18(weights=None); v2.resize(torch.rand(1, 3, 8, 8), [4, 4])\n"
        "import torchvision\n"
        "print(WORKAROUND)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "None" or "declared nms, qnms" in done.stdout
