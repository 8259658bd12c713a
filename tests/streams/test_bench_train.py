"""`twostream bench train` measures what it says, after a check that can fail."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from scripts.bench import train as bench
from scripts.bench.train import StreamSpeeds, TrainBench
from scripts.cli import main
from storage.errors import UserError, WorkFailed


@pytest.mark.slow
def test_it_runs_on_drawn_data(capsys: pytest.CaptureFixture[str]) -> None:
    words = "bench train --stream temporal --size 24 --picture 40x32 --length 2 --batch 2 --json"
    assert main([*words.split(), "--steps", "1", "--rounds", "1", "--workers", "1"]) == 0
    measured = json.loads(capsys.readouterr().out)["temporal"]
    assert set(measured) == {"network", "loading", "both", "shares", "cpu_network", "cpu_both"}
    assert all(value > 0 for value in measured.values())


def test_different_batches_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = bench.batches

    def lying(trainer: Any, options: TrainBench, *more: Any, **named: Any) -> Any:
        for batch in honest(trainer, options, *more, **named):
            if more:  # this process's side of the comparison
                batch.planes["spatial"][0] ^= 1
            yield batch

    monkeypatch.setattr(bench, "batches", lying)
    options = TrainBench("spatial", size=24, picture="40x32", batch=2, steps=1, rounds=1, workers=0)
    with pytest.raises(WorkFailed, match="read different batches"):
        bench.run(options)


def test_verdicts() -> None:
    row = StreamSpeeds("spatial", [100], [1000], [95], [0.95], [1], [1])
    assert row.verdict() == "the network limits"
    assert "loading limits" in replace(row, loading=[50], both=[49], shares=[0.5]).verdict()
    assert "share the cores" in replace(row, loading=[200], both=[80], shares=[0.8]).verdict()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"picture": "big"}, "WIDTHxHEIGHT"),
        ({"steps": 0}, "at least 1"),
        ({"store": "s"}, "go together"),
    ],
)
def test_wrong_options(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        TrainBench(**changes)
