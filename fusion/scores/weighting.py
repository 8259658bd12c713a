"""Weighted average whose weights are searched on validation scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fusion.judge import kind_after
from fusion.judge import normalise as normalised
from fusion.scores.averaging import fused_table
from fusion.scores.fitting import fit_tables
from storage.scores import ScoreTable, join

STEPS = {1: 1, 2: 100, 3: 20, 4: 10, 5: 8}
"""Streams -> parts that the unit is cut into; about 100 to 500 weightings are tried."""


def weighted(
    tables: Sequence[ScoreTable],
    fit: Sequence[ScoreTable] | None = None,
    normalise: str = "softmax",
    *,
    fit_on_test: bool = False,
    common_only: bool = False,
) -> ScoreTable:
    """Fuse with the weights that are best on the tables `fit` (see `fit_tables`)."""
    fitted, fit_note = fit_tables(tables, fit, fit_on_test=fit_on_test, common_only=common_only)
    joined = join(tables, common_only=common_only)
    weights, accuracy = best_weights([normalised(t, normalise) for t in fitted], fitted[0].labels)
    scores = sum(w * normalised(t, normalise) for w, t in zip(weights, joined, strict=True))
    return fused_table(
        joined,
        scores,
        kind=kind_after(normalise),
        name=f"weighted ({normalise})",
        fusion={
            "method": "weighted",
            "normalise": normalise,
            "weights": weights,
            "fit": fit_note | {"top1": accuracy},
        },
    )


def best_weights(
    scores: Sequence[NDArray[np.float64]], labels: NDArray[np.int64]
) -> tuple[list[float], float]:
    """Weights, summing to 1, with the most videos right, and their accuracy.

    scores: float64 (N, C) a stream. Accuracy is a step function, and many weightings are equally
    good; of those the one nearest to their mean is taken, which lies in the middle of the best
    region and not at its edge.
    """
    streams = len(scores)
    grid = weight_grid(streams)
    right = np.array([_right(w, scores, labels) for w in grid])
    best = grid[right == right.max()]
    chosen = best[np.argmin(((best - best.mean(axis=0)) ** 2).sum(axis=1))]
    return [round(float(w), 6) for w in chosen], float(right.max() / len(labels))


def weight_grid(streams: int) -> NDArray[np.float64]:
    """(M, streams): all weightings in equal steps that sum to 1; coarser for many streams."""
    steps = STEPS.get(streams, 4)
    bars = combinations(range(steps + streams - 1), streams - 1)
    edges = np.array([(-1, *bar, steps + streams - 1) for bar in bars])
    return (np.diff(edges, axis=1) - 1) / steps


def _right(
    weights: NDArray[np.float64], scores: Sequence[NDArray[np.float64]], labels: NDArray[np.int64]
) -> int:
    total = sum(w * s for w, s in zip(weights, scores, strict=True) if w)
    return int((np.argmax(total, axis=1) == labels).sum())
