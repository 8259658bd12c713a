"""The published scores of Hidden-Two-Stream give the published figures, to the last video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fusion
from fusion.judge.metrics import judge
from storage import ScoreTable, read_scores


@pytest.fixture(scope="module")
def published(shared_data: Path) -> Callable[[str], ScoreTable]:
    file = shared_data / "scores" / "hidden_two_stream_ucf101_split1.npz"
    tables = {
        n: read_scores(f"{file}:{n}") for n in ("spatial", "temporal_tvl1", "temporal_hidden")
    }
    return tables.__getitem__


def percent(table: ScoreTable) -> float:
    return round(100 * float(judge(table).right.mean()), 3)


@pytest.mark.parametrize(
    ("stream", "top1"),
    [("spatial", 80.967), ("temporal_tvl1", 85.805), ("temporal_hidden", 84.060)],
)
def test_single_streams(published: Callable[[str], ScoreTable], stream: str, top1: float) -> None:
    table = published(stream)
    assert (len(table.videos), len(table.classes), table.kind) == (3783, 101, "logits")
    assert percent(table) == top1


@pytest.mark.parametrize(
    ("temporal", "normalise", "weights", "top1"),
    [
        ("temporal_tvl1", "l1", (1, 1.5), 91.303),
        ("temporal_hidden", "l1", (1, 1.5), 89.003),
        ("temporal_tvl1", "logits", None, 90.722),
        ("temporal_tvl1", "logits", (1, 1.5), 91.145),
        ("temporal_tvl1", "logits", (1, 2), 91.092),
        ("temporal_tvl1", "softmax", None, 88.977),
        ("temporal_tvl1", "softmax", (1, 1.5), 90.167),
        ("temporal_tvl1", "softmax", (1, 2), 89.638),
    ],
)
def test_fusions(
    published: Callable[[str], ScoreTable],
    temporal: str,
    normalise: str,
    weights: tuple[float, float] | None,
    top1: float,
) -> None:
    fused = fusion.average([published("spatial"), published(temporal)], weights, normalise)
    assert percent(fused) == top1


def test_rows_in_another_order_change_nothing(published: Callable[[str], ScoreTable]) -> None:
    order = np.random.default_rng(0).permutation(3783)
    tables = [published("spatial"), published("temporal_tvl1").rows(order)]
    assert percent(fusion.average(tables, (1, 1.5), "l1")) == 91.303
