from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from scripts.fuse import main
from storage import ScoreTable, read_scores


def table(stream: str, part: str = "test", skill: float = 1.0) -> ScoreTable:
    generator = np.random.default_rng([len(stream), len(part)])
    labels = np.arange(60) % 4
    scores = generator.normal(size=(60, 4))
    scores[np.arange(60), labels] += skill
    return ScoreTable(
        videos=tuple(f"{part}/v_{i}" for i in range(60)),
        labels=labels,
        classes=tuple("abcd"),
        scores=scores.astype(np.float32),
        stream=stream,
        part=part,
        groups=tuple(f"{part}{i // 3}" for i in range(60)),
    )


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for part in ("test", "validation"):
        table("spatial", part).save(tmp_path / f"A-{part}.npz")
        table("temporal", part, 1.5).save(tmp_path / f"B-{part}.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


AB = ("A-test.npz", "B-test.npz")
FIT = ("--fit", "A-validation.npz", "B-validation.npz")


def test_the_published_figures_from_the_command_line(
    shared_data: Path, twostream: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    file = shared_data / "scores" / "hidden_two_stream_ucf101_split1.npz"
    both = (f"{file}:spatial", f"{file}:temporal_tvl1")
    out = tmp_path / "fused.npz"
    done = twostream("fuse", *both, "--normalise", "l1", "--weights", "1,1.5", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "91.303 %" in done.stdout
    assert "707 groups" in done.stdout
    fused = read_scores(out)
    assert round(100 * float((fused.scores.argmax(1) == fused.labels).mean()), 3) == 91.303


@pytest.mark.parametrize("words", [("1", "1.5"), ("1,1.5",), ("1,", "1.5"), ("1:1.5",)])
def test_weights_stand_apart_or_with_commas(words: tuple[str, ...]) -> None:
    from scripts.fuse import parse_weights

    assert parse_weights(words) == [1.0, 1.5]


@pytest.mark.parametrize("method", ["average", "weighted", "svm"])
def test_every_method_writes_a_table_and_says_what_it_gains(
    files: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = () if method == "average" else FIT
    assert main([*AB, "--method", method, *fit, "--out", "F.npz", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    fused = ScoreTable.load("F.npz")
    assert said["made"] == fused.provenance
    assert fused.provenance["fusion"]["method"] == method
    right = (fused.scores.argmax(1) == fused.labels).mean()
    assert said["top1"][fused.stream]["value"] == right
    assert said["tests"][0]["name"] == fused.stream


@pytest.mark.parametrize("ending", ["npz", "csv", "json", "mat", "h5"])
def test_one_table_alone_is_converted(files: Path, ending: str) -> None:
    assert main(["A-test.npz", "--out", f"A.{ending}"]) == 0
    converted = read_scores(f"A.{ending}")
    np.testing.assert_array_equal(converted.scores, table("spatial").scores)
    assert converted.stream == "spatial"


def test_a_leak_is_marked_in_the_output_and_in_the_table(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*AB, "--method", "weighted", "--fit-on-test", "--out", "F.npz"]) == 0
    assert "FITTED ON THE TEST PART" in capsys.readouterr().out
    assert ScoreTable.load("F.npz").provenance["fusion"]["fit"]["leak"] is True


def test_a_name_can_be_given(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*AB, "--name", "ours", "--out", "F.npz"]) == 0
    assert "(spatial + temporal, weights 1:1, normalised by softmax)" in capsys.readouterr().out
    assert ScoreTable.load("F.npz").stream == "ours"


MISTAKES: list[tuple[tuple[Any, ...], str]] = [
    ((), "give one score file a stream"),
    (("nowhere.npz",), "nowhere.npz is not there"),
    ((*AB, "--method", "weighted"), "--fit VALIDATION_A.npz VALIDATION_B.npz"),
    ((*AB, "--method", "svm"), "--fit VALIDATION_A.npz VALIDATION_B.npz"),
    ((*AB, "--method", "svm", "--fit", "A-validation.npz"), "1 tables to fit on for 2 streams"),
    ((*AB, *FIT), "an average learns nothing"),
    ((*AB, "--folds", "5"), "--folds is for --method weighted or svm"),
    ((*AB, "--method", "svm", "--folds", "5", *FIT), "leave --fit out"),
    ((*AB, "--method", "svm", "--folds", "1"), "--folds 1 must be from 2 to"),
    ((*AB, "--method", "svm", *FIT, "--weights", "1,2"), "svm finds its own"),
    ((*AB, "--weights", "1", "two"), "must be numbers, as in 1 1.5 or 1,1.5"),
    ((*AB, "--weights", "1"), "1 weights for 2 tables"),
    (("A-test.npz", "B-validation.npz"), "only tables of the same videos can be joined"),
    ((*AB, "--max-gib", "0"), "must be over 0"),
    ((*AB, "--max-gib", "1e-9"), "allow more with --max-gib"),
    (("A-test.npz:logits",), "has no scores 'logits'"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    files: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", "F.npz"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("twostream fuse: ")
    assert said.count("\n") == 1
    assert not Path("F.npz").exists()


@pytest.mark.parametrize(("out", "message"), [("F.txt", "ending in .npz"), ("no/F.npz", "folder")])
def test_where_a_table_can_go(
    files: Path, out: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*AB, "--out", out]) == 2
    assert message in capsys.readouterr().err


def test_bare_matrices_with_the_official_lists(files: Path) -> None:
    from scipy.io import savemat

    one, two = table("spatial"), table("temporal")
    names = [f"{one.classes[label]}/v_{i}.avi" for i, label in enumerate(one.labels)]
    Path("testlist01.txt").write_text("\n".join(names))
    Path("classInd.txt").write_text("1 a\n2 b\n3 c\n4 d\n")
    savemat("rgb.mat", {"fc": one.scores.T})
    savemat("flow.mat", {"fc": two.scores})
    lists = ("--video-list", "testlist01.txt", "--class-list", "classInd.txt", "--split", "3")
    assert main(["rgb.mat:fc", "flow.mat:fc", *lists, "--out", "F.npz"]) == 0
    fused = ScoreTable.load("F.npz")
    assert (fused.split, fused.part, fused.classes) == (3, "test", ("a", "b", "c", "d"))
    assert fused.provenance["fusion"]["streams"] == ["rgb", "flow"]
    np.testing.assert_array_equal(fused.labels, one.labels)
