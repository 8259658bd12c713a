"""Average precision of every class: how well its score finds its videos among all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.scores import ScoreTable

LEVELS = 20
"""Levels of recall at which a curve is kept: 1/20, 2/20, ..., 1."""
ELEMENTS = 1 << 22
"""Scores sorted at a time, which bounds the memory."""


@dataclass(frozen=True)
class PrecisionRecall:
    """Of every class, whose videos are to be found among all."""

    average: NDArray[np.float64]
    """(C,): average precision, as scikit-learn's `average_precision_score` has it; NaN for a class
    without videos."""
    curves: NDArray[np.float32]
    """(C, LEVELS): the highest precision at each level of recall or a higher one."""

    @property
    def mean(self) -> float | None:
        """mAP, over the classes that have videos."""
        return None if np.isnan(self.average).all() else float(np.nanmean(self.average))


def precision_of_classes(table: ScoreTable) -> PrecisionRecall:
    """Videos are ranked by the class's probability, or by the score where it is none. The precision
    at a video is taken over all videos with its score or a higher one, so the order of equals does
    not matter. The mean over the class's own videos is the average precision.
    """
    average = np.full(len(table.classes), np.nan)
    curves = np.full((len(table.classes), LEVELS), np.nan, np.float32)
    for label, found in enumerate(precisions(table)):
        if len(found):
            average[label] = found.mean()
            envelope = np.maximum.accumulate(found[::-1])[::-1]
            needed = np.ceil(np.arange(1, LEVELS + 1) / LEVELS * len(found) - 1e-9).astype(int)
            curves[label] = envelope[needed - 1]
    return PrecisionRecall(average, curves)


def precisions(table: ScoreTable) -> Iterator[NDArray[np.float64]]:
    """Of each class: the precision at each of its videos, the highest score first."""
    for label, scores in enumerate(class_columns(table)):
        rising = np.sort(scores)
        own = np.sort(scores[table.labels == label])
        high = len(scores) - np.searchsorted(rising, own, side="left")
        right = len(own) - np.searchsorted(own, own, side="left")
        yield (right / high)[::-1]


def class_columns(table: ScoreTable) -> Iterator[NDArray[np.float32]]:
    """Of each class: what its videos are ranked by, (N,)."""
    totals = log_totals(table) if table.kind == "logits" else np.zeros(1, np.float32)
    step = max(1, ELEMENTS // len(table.videos))
    for start in range(0, len(table.classes), step):
        yield from np.ascontiguousarray((table.scores[:, start : start + step] - totals[:, None]).T)


def log_totals(table: ScoreTable) -> NDArray[np.float32]:
    """(N,): what is taken from a video's logits to make them logarithms of probabilities."""
    from scipy.special import logsumexp

    step = max(1, ELEMENTS // len(table.classes))
    starts = range(0, len(table.videos), step)
    totals = [logsumexp(table.scores[i : i + step].astype(float), axis=1) for i in starts]
    return np.concatenate(totals).astype(np.float32)
