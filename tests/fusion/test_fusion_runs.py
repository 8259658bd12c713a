from __future__ import annotations

import json
from pathlib import Path

import pytest

from fusion.report.chart_data import run_charts
from fusion.report.runs import read_run
from storage import UserError


def run_folder(path: Path) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"format": 1, "settings": {"lr": 0.1}}))
    rows = [{"step": s, "part": "train", "loss": 2 / s, "lr": 0.1, "seconds": s} for s in (1, 2, 3)]
    rows += [{"step": 3, "part": "validation", "loss": float("nan"), "top1": 0.5}]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_run_folder(tmp_path: Path) -> None:
    run = read_run(run_folder(tmp_path / "rgb"))
    assert (run.name, run.config["settings"]["lr"]) == ("rgb", 0.1)
    assert run.series == {
        "train/loss": [(1, 2.0), (2, 1.0), (3, 2 / 3)],
        "train/lr": [(1, 0.1), (2, 0.1), (3, 0.1)],
        "validation/top1": [(3, 0.5)],
    }
    assert [c.y_label for c in run_charts(run)] == ["loss", "top1, %", "lr"]


def test_a_last_line_cut_short_is_left_out_and_another_damaged_line_is_not(tmp_path: Path) -> None:
    metrics = run_folder(tmp_path / "rgb") / "metrics.jsonl"
    whole = metrics.read_text()
    metrics.write_text(whole + '{"step": 4, "lo')
    assert len(read_run(tmp_path / "rgb").series["train/loss"]) == 3
    metrics.write_text("{broken\n" + whole)
    with pytest.raises(UserError, match="line 1, is no JSON"):
        read_run(tmp_path / "rgb")


def test_what_is_no_run_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UserError, match="is not a run folder"):
            read_run(path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        read_run(tmp_path)
