"""`python -m scripts.sample_data` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.sample_data import main

TINY = ["--groups", "2", "--clips", "1", "--appearances", "2", "--motions", "2", "--frames", "3"]


def test_it_says_what_was_made_and_what_can_be_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "a"), *TINY, "--quiet"]) == 0
    said = capsys.readouterr()
    assert "8 videos of 4 classes" in said.out
    assert "spatial 50.0%, temporal 50.0%, fused 100%" in said.out
    assert said.err == ""


def test_json_stands_alone_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "b"), *TINY, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["videos"] == 8
    assert summary["made"]["frames"] == 3


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "c"), "--motions", "5"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said == ["twostream sample_data: --motions is 5; it must be 2, 4, 6 or 8"]
    assert not (tmp_path / "c").exists()


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file" / "in"), *TINY, "--quiet"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
