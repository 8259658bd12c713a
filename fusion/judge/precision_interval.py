"""The bootstrap interval of the mean average precision, over groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusion.judge.bootstrap import Measure, interval, resample
from fusion.judge.precision_recall import class_columns
from storage.scores import ScoreTable

WORK = 2_000_000_000
"""Additions that a table may cost; more videos and classes get fewer draws."""
LEAST = 200


def mean_average_precision(
    table: ScoreTable,
    value: float,
    group: NDArray[np.int64],
    groups: int,
    draws: int,
    seed: int = 0,
) -> Measure:
    """The interval of a table's mAP, `value` (`PrecisionRecall.mean`).

    A draw ranks the videos of the groups that were drawn, each as often as its group. A class that
    it lacks does not count in it. A video that comes twice ranks beside itself, which makes drawn
    figures too high: the interval is moved by that much, so that they lie about the figure itself.
    With very many videos and classes there are fewer draws, at least `LEAST`.
    """
    if groups < 2:
        return Measure(value, method="none: one group")
    most = max(LEAST, WORK // table.scores.size)
    drawn = drawn_precision(table, group, resample(groups, min(draws, most), seed))
    return interval(value, np.clip(drawn + (value - drawn.mean()), 0, 1), groups)


def drawn_precision(
    table: ScoreTable, group: NDArray[np.int64], counts: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """(draws,): the mAP of every draw of whole groups, `counts` (draws, groups)."""
    weights = counts.T.astype(np.float32)
    total = np.zeros(len(counts))
    classes = np.zeros(len(counts))
    for label, scores in enumerate(class_columns(table)):
        own = np.flatnonzero(table.labels == label)
        if len(own):
            there, average = drawn_average(scores, own[np.argsort(-scores[own])], group, weights)
            total += average
            classes += there
    return total / np.maximum(classes, 1)


def drawn_average(
    scores: NDArray[np.float32],
    own: NDArray[np.int64],
    group: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which draws have videos of the class, and its average precision in them, else 0.

    `own`: the rows of its videos, the highest score first. A video is ranked behind all with a
    score as high as its own, so each counts from the first of `own` on that is no higher.
    """
    from scipy.sparse import csr_array

    first = len(own) - np.searchsorted(scores[own][::-1], scores, side="right")
    shape = (len(own), len(weights))

    def weighed(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(own, draws): how many of these videos stand at each of `own` or before."""
        each = csr_array((np.ones(len(rows), np.float32), (first[rows], group[rows])), shape)
        return np.cumsum(each @ weights, axis=0)

    ranked = weighed(np.flatnonzero(first < len(own)))
    precision = weighed(own) / np.maximum(ranked, 1)
    times = weights[group[own]]
    videos = times.sum(axis=0, dtype=np.float64)
    return videos > 0, (times * precision).sum(axis=0) / np.maximum(videos, 1)
