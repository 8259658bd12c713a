"""`twostream bench fusion`: equality first, figures that add up, mistakes in one line."""

from __future__ import annotations

import json

import pytest
import torch

from scripts.bench import fusion_measure as bench_measure
from scripts.bench.fusion_measure import Case, check_start
from scripts.cli import main
from storage.errors import WorkFailed

SMALL = ["--depths", "18", "--size", "32", "--snapshots", "2", "--batch", "2", "--rounds", "1"]
SMALL += ["--classes", "7", "--length", "2", "--quiet"]


def case(name: str, depth: int = 18) -> Case:
    return Case(name, depth, ("layer4",), "3d", False, 7, 2, 2, 32, 2, "off", "cpu")


@pytest.mark.slow
def test_figures_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = {"train": 3e6, "score": 1e6}  # measured below, in a process less
    monkeypatch.setattr(bench_measure, "measure_memory", lambda case: memory)
    assert main(["bench", "fusion", *SMALL, "--joins", "sum", "conv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["start_differs_by"]["18"] < 1e-4
    late, added, conv = found["rows"]
    assert [row["name"] for row in found["rows"]] == ["late", "sum", "conv"]
    head, filters = (512 + 1) * 7, 2 * 512 * 512 + 512
    assert late["parameters"] - added["parameters"] == head
    assert conv["parameters"] - added["parameters"] == filters
    places = 2 * 1  # snapshots, of a map of 1 x 1
    assert conv["flops"] - added["flops"] == 2 * 2 * 512 * 512 * places
    for row in found["rows"]:
        for what in ("train", "score"):
            assert row[f"{what}_seconds"] > 0
            assert row[f"{what}_cpu_seconds"] > 0
        assert row["train_bytes"] == 3e6
    assert main(["bench", "fusion", *SMALL, "--joins", "max"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:2] == ["ResNet-18", "late"]
    assert lines[3].split()[:2] == ["ResNet-18", "max"]


@pytest.mark.slow
def test_memory_holds_at_least_what_training_must_keep() -> None:
    """Weights, gradients and momentum of both towers are 3 x 4 bytes a parameter."""
    net = case("late").network()
    numbers = sum(p.numel() for p in net.parameters())
    memory = bench_measure.measure_memory(case("late"))
    assert memory["train"] > 3 * 4 * numbers
    assert 4 * numbers < memory["score"] < memory["train"]


def test_a_start_that_is_not_late_fusion_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_start(case("late")) < 1e-4

    def skewed(net: torch.nn.Module, *heads: torch.nn.Linear) -> None:
        net.head.bias.data[0] += 5  # type: ignore[union-attr, operator, index]

    monkeypatch.setattr(bench_measure, "align", skewed)
    with pytest.raises(WorkFailed, match="conv's start differs from late fusion by"):
        check_start(case("late"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rounds", "0"], "--rounds is 0"),
        (["--classes", "1"], "--classes is 1"),
        (["--joins", "average"], "invalid choice"),
        (["--stages", "layer9"], "layer9 is no stage to fuse after"),
        (["--depths", "19"], "'resnet19' is not known"),
        (["--device", "abacus"], "--device 'abacus' is not known"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "fusion", *SMALL, *words]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert said in errors[0]
