from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from scripts.fuse import main as fuse
from scripts.report import main
from storage import ScoreTable


@pytest.fixture
def published(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    monkeypatch.chdir(tmp_path)
    file = shared_data / "scores" / "hidden_two_stream_ucf101_split1.npz"
    return f"{file}:spatial", f"{file}:temporal_tvl1"


def test_a_report_of_the_published_scores(
    published: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    weights = ("--normalise", "l1", "--weights", "1,1.5")
    assert fuse([*published, *weights, "--out", "F.npz"]) == 0
    capsys.readouterr()
    Path("ceilings.json").write_text('{"spatial": 0.9, "appearances": ["a"]}')
    given = ("--ceilings", "ceilings.json", "--draws", "500", "--latex", "--json")
    assert main(["F.npz", *published, "--out", "report.html", *given]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads(Path("report.json").read_text())
    split = said["splits"][0]
    fused, spatial, temporal = split["tables"]
    top1 = [round(100 * t["top1"]["value"], 3) for t in (fused, spatial, temporal)]
    assert top1 == [91.303, 80.967, 85.805]
    assert fused["top1"]["low"] < 0.91 < fused["top1"]["high"] < 0.94
    assert fused["test"]["against"] == "temporal_tvl1"
    assert fused["test"]["p"] < 0.001
    assert split["oracle"]["value"] > fused["top1"]["value"]
    assert split["groups"] == 707
    assert spatial["ceiling"] == 0.9
    assert Path("report.tex").exists()
    assert "91.30" in Path("report.html").read_text()


def test_what_is_said_of_several_fusions(
    published: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Which normalisation each used, though its name does not tell; and p for all of them."""
    for how in ("l1", "zscore"):
        assert fuse([*published, "--normalise", how, "--name", how[0], "--out", f"{how}.npz"]) == 0
    capsys.readouterr()
    assert main(["l1.npz", "zscore.npz", *published, "--out", "r.html", "--draws", "100"]) == 0
    said = capsys.readouterr().out
    page = Path("r.html").read_text()
    assert "normalised by l1" in page
    assert "normalised by zscore" in page
    tests = [t["test"] for t in json.loads(Path("r.json").read_text())["splits"][0]["tables"][:2]]
    for test in tests:
        assert test["p_holm"] > test["p"]
        assert f"p = {test['p_holm']:.2g} (" in said
    assert "Holm's correction for 2 fusions" in said


def test_a_mistake_is_one_line_and_exit_code_2(
    published: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.json").write_text("[1]")
    for arguments, message in [
        ((), "give score files"),
        ((*published, "--draws", "5"), "give 100 or more"),
        ((*published, "--store", "nowhere"), "nowhere"),
        ((*published, "--runs", "nowhere"), "nowhere is not a run folder"),
        ((*published, "--ceilings", "list.json"), "no JSON object"),
        ((published[0].rpartition(":")[0],), "say which are the scores"),
    ]:
        assert main([*arguments, "--out", "report.html"]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1


def test_help_opens_with_commands_that_work(
    twostream: Callable[..., CompletedProcess[str]],
) -> None:
    for command in ("fuse", "report"):
        done = twostream(command, "--help")
        assert done.returncode == 0
        assert f"twostream {command} " in done.stdout


def test_fuse_and_report_mark_a_run_that_was_not_trained_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also behind a fusion."""
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 4
    for name, provenance in (("a", {"unfinished": True}), ("b", {})):
        ScoreTable(
            videos=tuple(f"v{i}" for i in range(40)),
            labels=labels,
            classes=("w", "x", "y", "z"),
            scores=np.eye(4)[labels] + generator.normal(size=(40, 4)),
            stream=name,
            provenance=provenance,
        ).save(tmp_path / f"{name}.npz")
    files = [str(tmp_path / f"{name}.npz") for name in "abf"]
    assert fuse([*files[:2], "--out", files[2]]) == 0
    said = capsys.readouterr().out
    marked = [line.split()[0] for line in said.splitlines() if "NOT TRAINED TO ITS END" in line]
    assert marked == ["a", "average"]
    assert main([*files, "--out", str(tmp_path / "r.html"), "--draws", "100"]) == 0
    assert "NOT TRAINED TO ITS END" in capsys.readouterr().out
    page = (tmp_path / "r.html").read_text("utf-8")
    assert page.count("not trained to its end</span>") == 2


def test_a_greedy_ensemble_of_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part, videos in (("test", 60), ("validation", 80)):
        labels = np.arange(videos) % 4
        for name, skill in (("good", 2.0), ("other", 1.5), ("noise", 0.0)):
            generator = np.random.default_rng([videos, len(name)])
            ScoreTable(
                videos=tuple(f"{part}{i}" for i in range(videos)),
                labels=labels,
                classes=("w", "x", "y", "z"),
                scores=skill * np.eye(4)[labels] + generator.normal(size=(videos, 4)),
                stream=name,
                part=part,
            ).save(tmp_path / f"{name}-{part}.npz")
    tables = [str(tmp_path / f"{name}-test.npz") for name in ("good", "other", "noise")]
    fit = [table.replace("-test", "-validation") for table in tables]
    out = str(tmp_path / "f.npz")
    assert fuse([*tables, "--method", "greedy", "--fit", *fit, "--out", out]) == 0
    fused = ScoreTable.load(out)
    assert fused.provenance["fusion"]["method"] == "greedy"
    assert "noise" not in fused.provenance["fusion"]["streams"]
    assert fuse([*tables, "--method", "greedy", "--out", out]) == 2
    assert "--fit-on-test" in capsys.readouterr().err
