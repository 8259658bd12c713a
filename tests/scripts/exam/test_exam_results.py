"""From score tables to verdicts, and what is written of them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exam_tables import exam_of, guesses, knows, ties
from hypothesis import given
from hypothesis import strategies as st

from scripts.exam.results import SIGNS, Cell, cell_of, judged, outcomes_of, short_text
from scripts.samples import figure
from storage.errors import UserError
from storage.scores import ScoreTable


def only_cell(out: Path, question: str, system: str, answer: object, seeds: int = 1) -> Cell:
    exam, _ = exam_of(out, question, {system: answer}, seeds)  # type: ignore[dict-item]
    (cell,) = judged(exam).cells
    return cell


def test_who_can_see_and_does_is_as_it_must_be(tmp_path: Path) -> None:
    cell = only_cell(tmp_path, "order", "lstm", knows)
    assert (cell.value, cell.verdict, cell.mark) == (1.0, "as it must be", "sees")
    assert (cell.judged, cell.count) == ("forced choice", 60)


def test_who_can_see_and_guesses_is_short(tmp_path: Path) -> None:
    cell = only_cell(tmp_path, "order", "lstm", guesses)
    assert cell.verdict == "short"
    assert cell.low < 0.5 < cell.high


def test_who_is_blind_and_ties_is_as_it_must_be_at_one_half(tmp_path: Path) -> None:
    cell = only_cell(tmp_path, "order", "vlad", ties)
    assert (cell.value, cell.verdict, cell.mark) == (0.5, "as it must be", "blind")


def test_who_is_blind_and_knows_is_a_leak(tmp_path: Path) -> None:
    cell = only_cell(tmp_path, "binding", "late-average", knows)
    assert (cell.verdict, cell.ceiling) == ("leak", 0.5)
    assert SIGNS[cell.mark] == "!"


def test_what_is_not_determined_stays_so(tmp_path: Path) -> None:
    cell = only_cell(tmp_path, "binding", "two-late-frames", knows)
    assert (cell.verdict, cell.ceiling, cell.value) == ("undetermined", None, 1.0)


def test_a_system_is_judged_by_the_family_whose_proof_covers_it(tmp_path: Path) -> None:
    """Its classifier is no linear one, so variety's proof for attention does not hold for it."""
    assert only_cell(tmp_path, "variety", "attention", knows).verdict == "undetermined"
    assert only_cell(tmp_path / "b", "variety", "tsn-max", knows).verdict == "leak"


def test_seeds_are_counted_together(tmp_path: Path) -> None:
    one, three = (only_cell(tmp_path / str(n), "order", "lstm", guesses, n) for n in (1, 3))
    assert (one.count, three.count) == (60, 180)
    assert three.value == pytest.approx(np.mean(three.by_seed))
    assert three.high - three.low < one.high - one.low


def test_what_failed_says_why(tmp_path: Path) -> None:
    exam, _ = exam_of(tmp_path, "order", {"lstm": knows, "vlad": ties})
    failed = {exam.tables["lstm", "order", 0]: "train lstm: no space left"}
    result = judged(replace(exam, failed=failed))
    assert [cell.verdict for cell in result.cells] == ["failed", "as it must be"]
    assert result.cells[0].fault == "train lstm: no space left"
    assert short_text(result.cells[0]) == "×"


def test_a_question_that_was_not_put_has_no_cell(tmp_path: Path) -> None:
    exam, systems = exam_of(tmp_path, "order", {"lstm": knows})
    assert cell_of(exam, systems[0], "binding") is None
    assert "·" in short_text(None)


def test_a_choice_needs_both_twins(tmp_path: Path) -> None:
    exam, _ = exam_of(tmp_path, "order", {"lstm": knows})
    path = exam.tables["lstm", "order", 0]
    ScoreTable.load(path).rows(range(119)).save(path)
    with pytest.raises(UserError, match="a choice needs both twins"):
        judged(exam)


@given(st.permutations(range(12)), st.integers(0, 2**20))
def test_the_order_of_a_table_does_not_matter(order: list[int], seed: int) -> None:
    videos = tuple(f"{'AB'[i % 2]}/{i}" for i in range(12))
    scores = np.random.default_rng(seed).normal(size=(12, 2)).astype(np.float32)
    table = ScoreTable(videos, np.arange(12) % 2, ("A", "B"), scores)
    twins = {"test": {"pairs": [[videos[i], videos[i + 1]] for i in range(0, 12, 2)]}}
    for how in ("accuracy", "forced choice"):
        there = outcomes_of(table, how, twins)
        again = outcomes_of(table.rows(order), how, twins)
        assert figure(there) == figure(again)


def test_json_and_csv_say_what_the_page_says(tmp_path: Path) -> None:
    from scripts.exam.results import write_results

    exam, _ = exam_of(tmp_path, "order", {"lstm": knows, "vlad": ties})
    result = judged(exam)
    page, numbers, sheet = write_results(tmp_path, result, exam)
    read = json.loads(numbers.read_text())
    assert (read["format"], read["version"], read["seeds"]) == ("twostream-exam", 1, [0])
    assert [cell["value"] for cell in read["cells"]] == [1.0, 0.5]
    rows = list(csv.DictReader(sheet.read_text().splitlines()))
    assert [row["verdict"] for row in rows] == ["as it must be", "as it must be"]
    text = page.read_text()
    assert "LSTM on flow" in text
    assert "http" not in text.replace("http-equiv", "")
    lines = result.text.splitlines()
    assert "1.000 ✓" in lines[1]
    assert "0.500 =" in lines[2]
