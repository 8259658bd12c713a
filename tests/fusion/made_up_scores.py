"""Score tables whose worth is known, for the tests."""

from __future__ import annotations

import numpy as np

from fusion.judge.metrics import judge
from storage import ScoreTable


def made_up(
    stream: str = "spatial",
    *,
    classes: int = 5,
    videos: int = 60,
    skill: float = 1.5,
    seed: int = 0,
    part: str = "test",
    split: int = 1,
    groups: int = 20,
    **fields: object,
) -> ScoreTable:
    """Normal scores with `skill` added to the true class; the same videos for every stream."""
    labels = np.arange(videos) % classes
    generator = np.random.default_rng([seed, *stream.encode(), *part.encode(), split])
    scores = generator.normal(size=(videos, classes))
    scores[np.arange(videos), labels] += skill
    source = "" if part == "test" else part  # parts never share one
    given = {
        "videos": tuple(f"{part}/v_{i:04d}" for i in range(videos)),
        "labels": labels,
        "classes": tuple(f"Class{i}" for i in range(classes)),
        "scores": scores.astype(np.float32),
        "stream": stream,
        "part": part,
        "split": split,
        "groups": tuple(f"{source}g{i * groups // videos}" for i in range(videos)),
    }
    return ScoreTable(**(given | fields))  # type: ignore[arg-type]


def accuracy(table: ScoreTable) -> float:
    """Top-1."""
    return float(judge(table).right.mean())
