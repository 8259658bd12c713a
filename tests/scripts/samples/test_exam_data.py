"""The exam's videos are listed as UCF-101 is, repeat to the byte, and say what they are."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flow.video.reader import VideoReader
from scripts.samples.exam_data import Options, main
from scripts.samples.families import FAMILIES, blind, by_family
from scripts.samples.question import Question, make_question
from scripts.samples.questions import MAIN, QUESTIONS, question
from storage.catalog import load_catalog
from storage.errors import UserError

SMALLEST = {"train": 1, "test": 1}


@pytest.mark.parametrize("name", MAIN)
def test_a_question_is_a_catalog_whose_videos_hold_what_was_drawn(
    name: str, tmp_path: Path
) -> None:
    small = replace(question(name), **SMALLEST)
    written = make_question(tmp_path, small)
    catalog = load_catalog(tmp_path / "lists")
    assert catalog.classes == small.classes
    listed = list(small.clips())
    assert len(listed) == small.size()
    videos = sorted(p.relative_to(tmp_path / "videos").as_posix() for p in tmp_path.rglob("*.avi"))
    assert videos == sorted(one.name for one in listed)
    lines = [
        (tmp_path / "lists" / f"{p}list01.txt").read_text().splitlines() for p in ("train", "test")
    ]
    assert [len(part) for part in lines] == [
        sum(one.part == part for one in listed) for part in ("train", "test")
    ]
    for row in lines[0]:
        video, number = row.split(" ")
        assert small.classes[int(number) - 1] == video.split("/")[0]
    one = listed[-1]
    with VideoReader(tmp_path / "videos" / one.name) as reader:
        assert np.array_equal(np.stack([frame.rgb for frame in reader]), one.clip.frames)
    assert json.loads((tmp_path / "lists" / "ceilings.json").read_text()) == json.loads(
        json.dumps(written)
    )
    truth = json.loads((tmp_path / "lists" / "truth.json").read_text())
    assert set(truth) == {video.removesuffix(".avi") for video in videos}


@pytest.mark.parametrize("name", QUESTIONS)
def test_ceilings_say_something_of_every_family(name: str) -> None:
    ceilings = question(name).ceilings()
    assert list(ceilings) == list(FAMILIES)
    chance = 1 / len(question(name).classes)
    for one in ceilings.values():
        assert one.why
        if one.answer == "blind":
            assert one.ceiling is not None
            assert chance <= one.ceiling < 1
        else:
            assert one.ceiling == (1.0 if one.answer == "sees" else None)
    assert {"blind", "sees"} <= {one.answer for one in ceilings.values()}


@pytest.mark.parametrize("name", MAIN)
def test_families_are_balanced_and_twins_are_of_two_classes(name: str) -> None:
    small = replace(question(name), train=2, test=2)
    for number in (1, 2, 3, 4):
        family = [one for one in small.clips() if one.group == number]
        counts = Counter(one.clip.label for one in family)
        assert len(set(counts.values())) == 1
        assert set(counts) == set(range(len(small.classes)))
        twins = Counter(one.clip.twin for one in family if one.clip.twin is not None)
        assert set(twins.values()) <= {2}
        for twin in twins:
            assert len({one.clip.label for one in family if one.clip.twin == twin}) == 2


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        make_question(tmp_path / folder, replace(question("binding"), seed=seed, **SMALLEST))
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 8 + 6
    for file in files:
        contents = [(tmp_path / folder / file).read_bytes() for folder in "abc"]
        assert contents[0] == contents[1]
        assert file.suffix != ".avi" or contents[0] != contents[2]


def test_twins_are_named_and_never_parted(tmp_path: Path) -> None:
    make_question(tmp_path, replace(question("variety"), **SMALLEST))
    twins = json.loads((tmp_path / "lists" / "twins.json").read_text())
    for part in ("train", "test"):
        (family,) = twins[part]["families"]
        assert len(family) == 4
        assert sorted(video for pair in twins[part]["pairs"] for video in pair) == sorted(family)
        assert all(
            len({video.split("/")[0] for video in pair}) == 2 for pair in twins[part]["pairs"]
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "binding: --seed is -1; it must be 0 or more"),
        ({"train": 0}, "binding: --train is 0; it must be 1 to 4000"),
        ({"side": 63}, "binding: --side is 63; it must be even, 48 to 512"),
    ],
)
def test_what_cannot_be_made_is_named(changes: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(question("binding"), **changes)


def test_a_ceiling_is_given_once_for_every_family() -> None:
    with pytest.raises(ValueError, match="families differ"):
        by_family({"frame": blind(0.5, "accuracy", "")})
    twice = {" ".join(FAMILIES): blind(0.5, "accuracy", ""), "frame ": blind(0.5, "accuracy", "")}
    with pytest.raises(ValueError, match="families differ"):
        by_family(twice)


def test_the_command_makes_the_questions_that_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [
        str(tmp_path),
        "--questions",
        "fine",
        "binding",
        "--train",
        "1",
        "--test",
        "1",
        "--quiet",
    ]
    assert main([*call, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert {name: q["videos"] for name, q in summary["questions"].items()} == {
        "fine": 4,
        "binding": 8,
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["binding", "fine"]
    assert main(call) == 0
    assert "fine: 4 videos" in capsys.readouterr().out


def test_a_question_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "x"), "--questions", "taste"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(
        "twostream exam_data: --questions 'taste' is not one of what-and-how, binding"
    )
    assert not (tmp_path / "x").exists()


def test_the_help_names_every_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    page = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert all(name in page for name in QUESTIONS)
    assert Options(out=Path("x")).questions == MAIN


def test_every_question_is_of_the_kinds_that_are_asked_by_default() -> None:
    kinds = {type(question(name)) for name in MAIN}
    assert {type(one) for one in QUESTIONS.values()} == kinds
    assert all(isinstance(one, Question) for one in QUESTIONS.values())
