"""The whole way, as a newcomer walks it: `twostream demo`, from nothing to the report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scripts.docs.picture import draw
from storage.scores.table import ScoreTable

ROOT = Path(__file__).resolve().parent.parent
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def interrupted(out: Path, after: str) -> str:
    """Start the quick demo, press Ctrl-C once `after` exists, and give what it said."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "scripts", "demo", "--quick", "--out", str(out)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C reaches the whole group of processes, and only it
    )
    while not (out / after).exists():
        assert demo.poll() is None, demo.communicate()[0]
        time.sleep(0.05)
    os.killpg(demo.pid, signal.SIGINT)
    said, _ = demo.communicate(timeout=120)
    assert demo.returncode == 130, said
    return said


def check_report(out: Path, named: set[str]) -> None:
    """The page, its numbers and the tables say the same."""
    numbers = json.loads((out / "report.json").read_text("utf-8"))["splits"][0]
    assert named <= {table["name"].split(" ")[0] for table in numbers["tables"]}
    for kind in ("spatial", "temporal"):
        table = ScoreTable.load(out / "scores" / f"{kind}-test.npz")
        right = float(np.mean(table.scores.argmax(1) == table.labels))
        stated = next(t for t in numbers["tables"] if t["name"] == kind)
        assert stated["top1"]["value"] == pytest.approx(right)
        assert (
            stated["ceiling"]
            == json.loads((out / "sample" / "lists" / "ceilings.json").read_text())[kind]
        )
    page = (out / "report.html").read_text("utf-8")
    assert 'src="http' not in page
    assert 'href="http' not in page


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_quick_demo_stopped_and_gone_on_with(twostream: Command, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    said = interrupted(out, "runs/spatial/config.json")
    assert "Traceback" not in said
    assert "the same command goes on from here" in said
    done = twostream("demo", "--quick", "--out", out, "--json", timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    for kind in ("spatial", "temporal"):
        # 32 test videos: the interval of a fair half reaches 17 points to either side.
        assert rows[kind]["value"] <= rows[kind]["ceiling"] + 0.18
    best = max(row["value"] for row in rows.values())
    assert best > 0.75, "no fusion sees both appearance and motion"
    check_report(out, {"average", "weighted", "SVM", "spatial", "temporal"})
    drawn = tmp_path / "picture.svg"
    draw(out, drawn)
    assert drawn.read_text("utf-8").count("<image") >= 8  # frames and flow of four videos
    again = twostream("demo", "--quick", "--out", out)
    assert again.returncode == 0
    assert again.stderr.count("done before") == again.stderr.count("[")
    other = twostream("demo", "--out", out)
    assert other.returncode == 2
    assert "other options" in other.stderr
    assert len(other.stderr.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_demo_reaches_what_can_be_reached(twostream: Command, tmp_path: Path) -> None:
    """Default size: each stream at its ceiling, neither above it, the fusions at the top."""
    out = tmp_path / "demo"
    done = twostream("demo", "--out", out, "--json", timeout=1400)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {row["name"].split(" ")[0]: row for row in json.loads(done.stdout)["rows"]}
    for kind in ("spatial", "temporal"):
        assert rows[kind]["value"] >= rows[kind]["ceiling"] - 0.03
        # four standard errors of a quarter among 128 videos
        assert rows[kind]["value"] <= rows[kind]["ceiling"] + 0.155
    for fusion in ("average", "weighted", "SVM"):
        assert rows[fusion]["value"] >= 0.97, rows
    conv = next(row for name, row in rows.items() if "conv" in name or name == "fusion")
    assert conv["value"] >= 0.95
    check_report(out, {"average", "weighted", "SVM", "spatial", "temporal"})
