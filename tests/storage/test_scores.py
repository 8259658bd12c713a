from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_tables import table

from storage import ScoreTable, UserError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scores": np.full((3, 2), np.nan)}, r"3 of 3 videos are NaN or infinite \(a, b, c\)"),
        ({"scores": np.array([[0, 1], [np.inf, 0], [0, 0]])}, r"1 of 3 .* \(b\)"),
        ({"scores": np.full((3, 2), 1e300)}, "NaN or infinite"),
        ({"scores": np.zeros((2, 3))}, "do not fit 3 videos x 2 classes"),
        ({"scores": np.array([["1", "2"]] * 3)}, "matrix of numbers"),
        ({"labels": np.array([0, 1, 2])}, "label 2 of video c is not 0 to 1"),
        ({"labels": np.array([0, -1, 1])}, "label -1 of video b"),
        ({"labels": np.array([0, 0.5, 1])}, "whole numbers"),
        ({"labels": np.array([0, 1])}, "labels of shape"),
        ({"videos": ("a", "b", "a")}, "video named more than once: a"),
        ({"videos": ("a", "", "c")}, "needs a name"),
        ({"classes": ("run", "run")}, "class named more than once: run"),
        ({"groups": ("g",)}, "1 groups do not fit 3 videos"),
        ({"kind": "percent"}, "logits, probabilities"),
        ({"kind": "probabilities"}, "these are no probabilities"),
        ({"part": "dev"}, "train, validation, test"),
        ({"features": np.full((3, 4), np.inf)}, "features of 3 of 3 videos"),
        (
            {"videos": (), "labels": np.zeros(0), "scores": np.zeros((0, 2)), "groups": ()},
            "is it empty",
        ),
    ],
)
def test_a_wrong_table_is_refused_and_says_why(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        table(**fields)


def test_a_single_video_of_a_single_class_is_a_table() -> None:
    one = table(
        videos=("a",), labels=[0], classes=("x",), scores=np.ones((1, 1)), groups=(), provenance={}
    )
    assert repr(one) == "ScoreTable(spatial, split 2 validation: 1 videos x 1 classes of logits)"


def test_a_third_kind_is_written_as_a_newer_version_and_the_others_are_not(tmp_path: Path) -> None:
    """So an older program says that it must be updated, and still reads all it ever could."""
    for kind, version in (("logits", 1), ("probabilities", 1), ("scores", 2)):
        given = table(kind=kind, scores=np.full((3, 2), 0.5))
        given.save(tmp_path / "t.npz")
        assert given.header["version"] == version
        assert ScoreTable.load(tmp_path / "t.npz").kind == kind
