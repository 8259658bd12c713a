"""What the exam's tests share: sittings with lists and score tables, no videos, no networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scripts.exam.budget import Budget
from scripts.exam.candidates import CANDIDATES, Candidate
from scripts.exam.results import Exam
from scripts.exam.sitting import Sitting
from storage.scores import ScoreTable

Answer = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Labels (N,) -> scores (N, classes)."""


def knows(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.eye(labels.max() + 1)[labels]


def guesses(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(len(labels), labels.max() + 1))


def ties(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.ones((len(labels), labels.max() + 1))


def sitting_of(out: Path, question: str, seed: int = 0) -> Sitting:
    """With its lists, as `make_question` names the videos, of which there are none."""
    small = Sitting.of(out, question, seed, Budget(steps=3))
    small.lists.mkdir(parents=True, exist_ok=True)
    pairs = [[video_of(small, i, 0), video_of(small, i, 1)] for i in range(60)]
    (small.lists / "twins.json").write_text(
        json.dumps({"test": {"pairs": pairs, "families": pairs}})
    )
    return small


def video_of(sitting: Sitting, family: int, label: int) -> str:
    name = sitting.question.classes[label]
    return f"{name}/v_{name}_g{family + 1:03}_c01"


def exam_of(
    out: Path, question: str, answers: dict[str, Answer], seeds: int = 1
) -> tuple[Exam, list[Candidate]]:
    """Score tables of 60 pairs of the first two classes, as each system answers."""
    systems = [CANDIDATES[name] for name in answers]
    sittings = [sitting_of(out, question, seed) for seed in range(seeds)]
    tables = {}
    for sitting in sittings:
        classes = sitting.question.classes
        labels = np.tile([0, 1], 60)
        videos = tuple(video_of(sitting, i // 2, i % 2) for i in range(120))
        for name, answer in answers.items():
            rng = np.random.default_rng([sitting.seed, len(name)])
            scores = np.full((120, len(classes)), -9.0)
            scores[:, :2] = answer(labels, rng)[:, :2]
            path = sitting.scores(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            ScoreTable(videos, labels, classes, scores.astype(np.float32)).save(path)
            tables[name, question, sitting.seed] = path
    return Exam(systems, sittings, tables, {}, Budget(steps=3)), systems
