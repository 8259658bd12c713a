"""`twostream train fusion`, through to the report, as a user types it; and what it refuses."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from streams_tiny import Tiny, start

from scripts.cli import main
from storage.scores.table import ScoreTable
from streams.training import checkpoint

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--recipe", "small", "--batch", "4", "--workers", "0", "--quiet"]
KINDS = ("spatial", "temporal")
Said = Callable[..., str]


def at(tiny: Tiny, out: Path) -> list[str]:
    return ["--store", str(tiny.store), "--labels", str(tiny.labels), "--out", str(out)]


def train_tower(tiny: Tiny, out: Path, kind: str, *more: str) -> Path:
    words = [*SMALL, "--size", "24", "--steps", "2", "--flip", *more]
    assert main(["train", kind, *at(tiny, out), *words]) == 0
    return out


@pytest.fixture(scope="module")
def towers(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `spatial` and `temporal`."""
    folder = tmp_path_factory.mktemp("towers")
    train_tower(tiny, folder / "spatial", "spatial")
    train_tower(tiny, folder / "temporal", "temporal", "--length", "2")
    return folder


def command(tiny: Tiny, towers: Path, out: Path, *more: str) -> list[str]:
    runs = [word for kind in KINDS for word in (f"--{kind}", str(towers / kind))]
    return ["train", "fusion", *runs, *at(tiny, out), *SMALL, *more]


@pytest.fixture(scope="module")
def fused(tiny: Tiny, towers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fused") / "run"
    assert main(command(tiny, towers, out, "--steps", "2", "--pool", "conv3d")) == 0
    return out


def score(tiny: Tiny, run: Path, out: Path, *more: str) -> ScoreTable:
    words = ["--views", "6x2", "--workers", "0", "--quiet"]
    assert main(["score", str(run), *at(tiny, out), *words, *more]) == 0
    return ScoreTable.load(out)


@pytest.mark.slow
def test_a_fusion_is_scored_fused_and_judged_like_a_stream(
    tiny: Tiny, towers: Path, fused: Path, tmp_path: Path
) -> None:
    runs = {kind: towers / kind for kind in KINDS} | {"fusion": fused}
    tables = {kind: score(tiny, run, tmp_path / f"{kind}.npz") for kind, run in runs.items()}
    table = tables["fusion"]
    assert (table.stream, table.kind, table.scores.shape) == ("fusion", "logits", (8, 4))
    assert table.features is not None
    assert table.features.shape == (8, 512)
    assert table.videos == tables["spatial"].videos
    assert score(tiny, fused, tmp_path / "v.npz", "--part", "validation").scores.shape == (4, 4)

    late, page = tmp_path / "late.npz", tmp_path / "report.html"
    singles = [str(tmp_path / f"{kind}.npz") for kind in KINDS]
    assert main(["fuse", *singles, "--out", str(late), "--name", "late"]) == 0
    everything = [*singles, str(late), str(tmp_path / "fusion.npz")]
    assert main(["report", *everything, "--out", str(page), "--map", "none", "--quiet"]) == 0
    judged = json.loads(page.with_suffix(".json").read_text("utf-8"))["splits"][0]["tables"]
    shown = {one["name"]: one for one in judged}
    conv = shown["fusion"]
    assert conv["fusion"]["streams"] == list(KINDS)
    assert conv["fusion"]["method"] == "conv after layer3, layer4"
    assert conv["test"]["against"] in KINDS
    assert not conv["fitted_on_test"]
    assert {"value", "low", "high"} <= conv["top1"].keys()
    costs = {name: one["costs"] for name, one in shown.items()}
    for key in ("parameters", "flops", "seconds_per_video"):
        assert costs["late"][key] == pytest.approx(sum(costs[k][key] for k in KINDS))
        assert costs["fusion"][key] == tables["fusion"].provenance[key] > 0
    # The towers, and what joins them after two stages: 1 x 1 filters over both maps, a hidden layer
    # of 64 filters of 3 x 3; then 3 x 3 x 3 over the result.
    joins = sum(2 * w * w + w + 9 * 2 * w * 64 + 64 + 64 * w + w for w in (256, 512))
    more = costs["fusion"]["parameters"] - costs["late"]["parameters"]
    assert more == joins + (27 * 512 * 512 + 512) - (512 + 1) * 4
    assert costs["fusion"]["flops"] > costs["late"]["flops"]


KINDS_OF_FUSION = (
    "--join bilinear --stages layer3 --sketch 64",
    "--join concat --stages layer2 layer4 --pool 2d",
    "--join multiply --two-towers 0.5 --ema 0.9",
    "--join max --tune after --clip 1",
    "--join 3d-fused",
)


@pytest.mark.slow
@pytest.mark.parametrize("words", KINDS_OF_FUSION)
def test_every_kind_of_fusion_trains(tiny: Tiny, towers: Path, tmp_path: Path, words: str) -> None:
    """The whole loop in its usual memory order, with what the kinds have of their own."""
    out = tmp_path / "run"
    more = (*words.split(), "--steps", "1", "--snapshots", "2")
    assert main(command(tiny, towers, out, *more)) == 0
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["part"] for row in rows] == ["train", "validation"]
    score(tiny, out, tmp_path / "scores.npz")


@pytest.mark.slow
def test_killed_it_goes_on_bit_for_bit(tiny: Tiny, towers: Path, tmp_path: Path) -> None:
    more = ("--steps", "6", "--save-every", "2", "--two-towers", "0.5", "--ema", "0.9")
    out = tmp_path / "cut"
    killed = start(command(tiny, towers, out, *more))
    last = out / "checkpoints" / "last.pt"
    for _ in range(2000):
        if last.exists() or killed.poll() is not None:
            break
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert checkpoint.load(last)["state"]["step"] < 6
    assert main(command(tiny, towers, out, *more)) == 0
    assert main(command(tiny, towers, tmp_path / "whole", *more)) == 0
    one, two = (checkpoint.load(tmp_path / r / "checkpoints/last.pt") for r in ("whole", "cut"))
    for part in ("model", "average"):
        for name, value in one[part].items():
            assert torch.equal(value, two[part][name]), name
    lines = [(tmp_path / r / "metrics.jsonl").read_text() for r in ("whole", "cut")]
    assert lines[0] == lines[1]


@pytest.mark.slow
@pytest.mark.parametrize("fusing", [("--two-towers", "1"), ("--tune", "after", "--join", "max")])
def test_two_processes_train_as_one(
    tiny: Tiny, towers: Path, tmp_path: Path, fusing: tuple[str, ...]
) -> None:
    """Towers with frozen norms, no dropout: the same losses; and no parameter is left unused."""
    frozen = ("--batch-norm", "frozen", "--dropout", "0")
    train_tower(tiny, tmp_path / "spatial", "spatial", *frozen)
    train_tower(tiny, tmp_path / "temporal", "temporal", "--length", "2", *frozen)
    plain = (*fusing, "--dropout", "0", "--steps", "3")
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d")
    launcher += ("--rdzv-endpoint", "localhost:0")
    two = start(command(tiny, tmp_path, tmp_path / "two", *plain), launcher)
    said = two.communicate(timeout=250)[0]
    assert two.returncode == 0, said
    assert main(command(tiny, tmp_path, tmp_path / "one", *plain)) == 0
    one, both = (checkpoint.load(tmp_path / r / "checkpoints/last.pt") for r in ("one", "two"))
    for name, value in one["model"].items():
        torch.testing.assert_close(both["model"][name], value, atol=1e-4, rtol=1e-3)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Run a command that must fail as a user's mistake; gives its one line."""

    def run(arguments: list[str]) -> str:
        capsys.readouterr()
        assert main(arguments) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1, lines
        return lines[0]

    return run


def edited(towers: Path, into: Path, kind: str, change: Callable[[Any], None]) -> Path:
    """Both towers, with another config.json of one of them; only that and weights are copied."""
    for each in KINDS:
        (into / each / "checkpoints").mkdir(parents=True)
        for name in ("config.json", "checkpoints/best.safetensors"):
            shutil.copy(towers / each / name, into / each / name)
    file = into / kind / "config.json"
    config = json.loads(file.read_text("utf-8"))
    change(config["settings"])
    file.write_text(json.dumps(config), encoding="utf-8")
    return into


def put(*path: str, value: Any) -> Callable[[Any], None]:
    def change(settings: Any) -> None:
        for name in path[:-1]:
            settings = settings[name]
        settings[path[-1]] = value

    return change


UNFIT = {
    "classes": (put("data", "classes", value=["a", "b"]), "name different classes"),
    "split": (put("data", "split", value=2), "differ in their data: split was"),
    "lists": (put("data", "lists", value="other"), "differ in their data: lists was"),
    "validation": (put("data", "validation", value=0.5), "differ in their data: validation was"),
    "store": (
        put("data", "store", "fingerprint", value="other"),
        "differ in their data: store.fingerprint was",
    ),
    "bound": (put("data", "store", "quantizer", "bound", value=15.0), "store.quantizer.bound was"),
    "size": (put("recipe", "crop", "size", value=32), "their feature maps would not align"),
    "share": (put("recipe", "crop", "test_share", value=0.5), "feature maps would not align"),
    "length": (
        put("recipe", "input", "length", value=5),
        "does not fit the network",
    ),
    "depth": (
        put("recipe", "network", "depth", value=34),
        "does not fit the network",
    ),
    "kind": (put("kind", value="difference"), "--temporal takes a temporal one"),
}


@pytest.mark.parametrize(("change", "message"), UNFIT.values(), ids=UNFIT)
def test_towers_that_do_not_fit(
    tiny: Tiny,
    towers: Path,
    tmp_path: Path,
    said: Said,
    change: Callable[[Any], None],
    message: str,
) -> None:
    unfit = edited(towers, tmp_path / "towers", "temporal", change)
    text = said(command(tiny, unfit, tmp_path / "run"))
    assert message in text
    assert str(unfit / "temporal") in text
    assert not (tmp_path / "run/checkpoints/last.pt").exists()


MISTAKES = {
    "--stages layer5": "layer5 is no stage to fuse after in the spatial network; choose from last",
    "--stages last-9 last": "last-9 is no stage to fuse after",
    "--stages layer4 last": "each place must lie behind the one before",
    "--join 3d-fused --hidden 8": "it takes --stages last and --hidden 0 only",
    "--hidden -1": "--hidden -1 must be 0 or more",
    "--join average": "invalid choice",
    "--pool 4d": "invalid choice",
    "--gap 11": "--gap 11 must lie in 1 to 10 frames",
    "--snapshots 0": "--snapshots 0 must be at least 1",
    "--two-towers -1": "must not be negative",
    "--sketch 2": "--sketch 2 must be at least 16",
    "--batch 6 --accumulate 4": "does not divide by --accumulate",
    "--split 2": "split 2 is not in",
    "--spatial TEMPORAL": "is a run of the temporal stream; --spatial takes a spatial one",
    "--temporal nowhere": "nowhere is not a run folder",
    "--validation 0.5": "differ in their data",
    "--out TEMPORAL": "is the temporal run itself; give another",
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.items(), ids=MISTAKES)
def test_mistakes_are_one_line(
    tiny: Tiny, towers: Path, tmp_path: Path, said: Said, words: str, message: str
) -> None:
    temporal = str(towers / "temporal")
    given = [word.replace("TEMPORAL", temporal) for word in words.split()]
    assert message in said(command(tiny, towers, tmp_path / "run", *given))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_unfinished_and_damaged_towers(
    tiny: Tiny, towers: Path, tmp_path: Path, said: Said
) -> None:
    ours = edited(towers, tmp_path / "towers", "temporal", lambda settings: None)
    run = command(tiny, ours, tmp_path / "run", "--steps", "1")
    last, best = (ours / "temporal/checkpoints" / name for name in ("last.pt", "best.safetensors"))
    state = checkpoint.load(towers / "temporal/checkpoints/last.pt")
    state["state"]["finished"] = False
    checkpoint.save(last, {k: v for k, v in state.items() if k != "format"})
    assert "is not trained to its end" in said(run)
    assert main([*run, "--unfinished"]) == 0
    best.write_bytes(best.read_bytes()[: best.stat().st_size // 2])
    assert "best.safetensors is damaged" in said(run)
    best.unlink()
    assert "has no best weights yet" in said(run)


@pytest.mark.slow
def test_going_on_with_other_settings_or_towers(
    tiny: Tiny, towers: Path, fused: Path, tmp_path: Path, said: Said
) -> None:
    same = command(tiny, towers, fused, "--steps", "2", "--pool", "conv3d")
    assert main(same) == 0  # it is finished already
    text = said([*same, "--join", "sum"])
    assert "was begun with other settings" in text
    assert 'recipe.fusing.join was "conv", now "sum"' in text
    other = tmp_path / "other"
    shutil.copytree(towers / "spatial", other / "spatial")
    train_tower(tiny, other / "temporal", "temporal", "--length", "3", "--unit", "5")
    text = said(command(tiny, other, fused, "--steps", "2", "--pool", "conv3d"))
    assert "towers.temporal.recipe.input.length was 2, now 3" in text
    assert "towers.temporal.recipe.input.unit was 9.04, now 5.0" in text


def test_a_damaged_fusion_is_named(
    tiny: Tiny, towers: Path, fused: Path, tmp_path: Path, said: Said
) -> None:
    run = tmp_path / "run"
    shutil.copytree(fused, run)
    for name in ("last.pt", "best.safetensors"):
        file = run / "checkpoints" / name
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    again = command(tiny, towers, run, "--steps", "2", "--pool", "conv3d")
    assert "last.pt is damaged" in said(again)
    (run / "checkpoints" / "last.pt").unlink()
    words = ["score", str(run), *at(tiny, tmp_path / "s.npz"), "--quiet"]
    assert "best.safetensors is damaged" in said(words)
    config = json.loads((run / "config.json").read_text("utf-8"))
    config["settings"]["recipe"]["fusing"]["join"] = "concat"
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shutil.copy(fused / "checkpoints/best.safetensors", run / "checkpoints/best.safetensors")
    assert "best.safetensors does not fit the network in config.json" in said(words)


@pytest.mark.slow
def test_a_fusion_is_trained_longer_by_its_folder(
    tiny: Tiny, towers: Path, fused: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(fused, tmp_path / "run")
    assert main(["train", "--resume", str(run), "--steps", "3", "--quiet"]) == 0
    old, new = (json.loads((one / "config.json").read_text())["settings"] for one in (fused, run))
    old["recipe"]["optim"]["steps"] = 3
    assert new == old
    assert checkpoint.load(run / "checkpoints" / "last.pt")["state"]["step"] == 3
