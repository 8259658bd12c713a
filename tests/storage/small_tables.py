"""A small score table, and what it takes for two to be the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from storage import ScoreTable


def table(**fields: Any) -> ScoreTable:
    plain: dict[str, Any] = {
        "videos": ("a", "b", "c"),
        "labels": np.array([0, 1, 1]),
        "classes": ("run", "walk"),
        "scores": np.array([[2, -1], [0.1, 0.3], [-5, 1e-7]], np.float32),
        "stream": "spatial",
        "split": 2,
        "part": "validation",
        "groups": ("g1", "g1", "g2"),
        "provenance": {"run": "runs/x", "views": 25},
    }
    return ScoreTable(**(plain | fields))


def same(one: ScoreTable, other: ScoreTable) -> None:
    assert one.header == other.header
    for name in ("videos", "classes", "groups"):
        assert getattr(one, name) == getattr(other, name)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert one.scores.dtype == np.float32
    assert one.labels.dtype == np.int64
