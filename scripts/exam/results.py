"""From score tables to the matrix: each cell with its figure, its ceiling and its verdict."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.exam.budget import Budget
from scripts.exam.candidates import Candidate
from scripts.exam.sitting import SCHOOL, Sitting
from scripts.samples import figure, forced_choice, right_answers, verdict
from storage import atomic
from storage.errors import UserError
from storage.scores import ScoreTable

FORMAT, VERSION = "twostream-exam", 1
SIGNS = {
    "sees": "✓",
    "blind": "=",
    "leak": "!",
    "short": "↓",
    "undetermined": "?",
    "failed": "×",
}
"""How a cell is shown besides its colour."""


@dataclass(frozen=True)
class Exam:
    """Who was asked what, and where the answers are."""

    systems: Sequence[Candidate]
    sittings: Sequence[Sitting]
    tables: Mapping[tuple[str, str, int], Path]
    """System, question, seed -> its score table."""
    failed: Mapping[Path, str]
    budget: Budget

    @property
    def questions(self) -> list[str]:
        return list(dict.fromkeys(sitting.name for sitting in self.sittings))

    @property
    def seeds(self) -> list[int]:
        return sorted({sitting.seed for sitting in self.sittings})


@dataclass(frozen=True)
class Cell:
    """One system on one question, all seeds together."""

    system: str
    question: str
    family: str
    answer: str
    """What is known of its family: blind, sees or undetermined."""
    ceiling: float | None
    exact: bool
    """The ceiling holds for these very videos, whatever the function."""
    judged: str
    """accuracy or forced choice."""
    why: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    count: int = 0
    """Answers, or choices."""
    by_seed: tuple[float, ...] = ()
    accuracy: float | None = None
    """Where the cell is judged by forced choice: the plain accuracy, which has no ceiling there."""
    verdict: str = "failed"
    """as it must be, leak, short, undetermined or failed."""
    fault: str = ""

    @property
    def mark(self) -> str:
        """Key of SIGNS."""
        return self.answer if self.verdict == "as it must be" else self.verdict


@dataclass(frozen=True)
class Matrix:
    """The result of an exam."""

    about: dict[str, Any]
    questions: list[dict[str, Any]]
    systems: list[dict[str, Any]]
    cells: list[Cell] = field(default_factory=list)

    def cell(self, system: str, question: str) -> Cell | None:
        """None where the system was not asked."""
        for cell in self.cells:
            if (cell.system, cell.question) == (system, question):
                return cell
        return None

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            **self.about,
            "questions": self.questions,
            "systems": self.systems,
            "cells": [asdict(cell) for cell in self.cells],
        }

    @property
    def text(self) -> str:
        """For the terminal."""
        names = [question["name"] for question in self.questions]
        wide = max(len(system["title"]) for system in self.systems)
        columns = [max(12, len(name)) for name in names]
        heads = [f"{name:>{width}}" for name, width in zip(names, columns, strict=True)]
        lines = ["  ".join(["".ljust(wide), *heads])]
        for system in self.systems:
            row = [system["title"].ljust(wide)]
            for name, width in zip(names, columns, strict=True):
                cell = self.cell(system["name"], name)
                row.append(f"{short_text(cell):>{width}}")
            lines.append("  ".join(row))
        lines.append(
            f"\n{SIGNS['sees']} sees, {SIGNS['blind']} blind as it must be, {SIGNS['leak']} leak, "
            f"{SIGNS['short']} short of what it could, {SIGNS['undetermined']} undetermined"
        )
        return "\n".join(lines)


def short_text(cell: Cell | None) -> str:
    if cell is None:
        return "·"
    if cell.value is None:
        return SIGNS["failed"]
    return f"{cell.value:.3f} {SIGNS[cell.mark]}"


def outcomes_of(table: ScoreTable, judged: str, twins: Mapping[str, Any]) -> NDArray[np.floating]:
    """Right answers of a table: a video each, or a pair of twins each."""
    if judged == "accuracy":
        return right_answers(table.scores, table.labels)
    row = {video: i for i, video in enumerate(table.videos)}
    pairs = twins["test"]["pairs"]
    lost = [video for pair in pairs for video in pair if video not in row]
    if lost:
        raise UserError(f"{table.stream}: no scores of {lost[0]}; a choice needs both twins")
    chosen = [(row[a], row[b]) for a, b in pairs]
    return forced_choice(table.scores, table.labels, chosen)


def cell_of(exam: Exam, system: Candidate, question: str) -> Cell | None:
    """None where no seed of the question was put to the system."""
    sittings = [
        sitting
        for sitting in exam.sittings
        if sitting.name == question and (system.name, question, sitting.seed) in exam.tables
    ]
    if not sittings:
        return None
    family = system.family_for(question)
    known = sittings[0].question.ceilings()[family]
    empty = Cell(
        system.name,
        question,
        family,
        known.answer,
        known.ceiling,
        known.exact,
        known.judged,
        known.why,
    )
    paths = [exam.tables[system.name, question, sitting.seed] for sitting in sittings]
    faults = [exam.failed[path] for path in paths if path in exam.failed]
    if faults:
        return replace(empty, fault=faults[0])
    each, plain = [], []
    for sitting, path in zip(sittings, paths, strict=True):
        table = ScoreTable.load(path)
        twins = json.loads((sitting.lists / "twins.json").read_text("utf-8"))
        each.append(outcomes_of(table, known.judged, twins))
        plain.append(outcomes_of(table, "accuracy", twins))
    found = figure(np.concatenate(each))
    return replace(
        empty,
        value=found.value,
        low=found.low,
        high=found.high,
        count=found.count,
        by_seed=tuple(float(one.mean()) for one in each),
        accuracy=float(np.concatenate(plain).mean()),
        verdict=verdict(found, known.answer, known.ceiling),
    )


def judged(exam: Exam) -> Matrix:
    """The matrix of an exam."""
    cells = [
        cell
        for question in exam.questions
        for system in exam.systems
        if (cell := cell_of(exam, system, question)) is not None
    ]
    questions = []
    answered = {cell.question for cell in cells}
    for name in (one for one in exam.questions if one in answered):
        sitting = next(one for one in exam.sittings if one.name == name)
        question = sitting.question
        questions.append(
            {
                "name": name,
                "asks": question.asks,
                "parts": question.parts,
                "classes": list(question.classes),
                "chance": 1 / len(question.classes),
                "videos": sitting.videos,
                "snapshots": {
                    "flow": sitting.setting.flow,
                    "frames": sitting.setting.frames,
                    "clips": sitting.setting.clips,
                },
                **who(cells, {one.name: one.title for one in exam.systems}, name),
                "networks start from": SCHOOL if sitting.setting.school else "nothing",
            }
        )
    systems = [{"name": one.name, "title": one.title, "family": one.family} for one in exam.systems]
    about = {
        "budget": asdict(exam.budget) | {"in words": exam.budget.sentence},
        "seeds": exam.seeds,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    return Matrix(about, questions, systems, cells)


def who(cells: Sequence[Cell], titles: Mapping[str, str], question: str) -> dict[str, list[str]]:
    """The systems that were asked, by what is known of them."""
    known = {"blind": "blind", "sees": "sees", "undetermined": "unsure"}
    return {
        key: [
            titles[cell.system]
            for cell in cells
            if cell.question == question and cell.answer == answer
        ]
        for answer, key in known.items()
    }


def write_results(out: Path, result: Matrix, exam: Exam) -> list[Path]:
    """The page, and JSON and CSV beside it."""
    from scripts.exam.page import write_page

    numbers, sheet = out / "results.json", out / "results.csv"
    text = json.dumps(result.to_json(), indent=1, ensure_ascii=False)
    atomic.write_text(numbers, text + "\n")
    with atomic.replacing(sheet) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        names = [name for name in asdict(result.cells[0]) if name != "by_seed"]
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(asdict(cell) for cell in result.cells)
    return [write_page(out, result, exam), numbers, sheet]
