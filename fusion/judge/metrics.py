"""How good one score table is: ranks, accuracies, per-class figures, confusions, log loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.judge.normalisation import normalise_scores
from storage.scores import ScoreTable

TOP = (1, 5, 10)
SMALLEST = 1e-12
"""A probability under this counts as this in the log loss; else one zero makes it infinite."""


@dataclass(frozen=True)
class Judged:
    """What every statistic is computed from; one value a video."""

    rank: NDArray[np.int64]
    """(N,): how many classes come before the true one; 0 is right."""
    predicted: NDArray[np.int64]
    """(N,): the class with the highest score; of equals, the first in the class list."""
    confidence: NDArray[np.float32]
    """(N,): probability given to the predicted class; only an order where not `probable`."""
    true_probability: NDArray[np.float32]
    """(N,): probability given to the true class."""
    tied: int
    """Videos where several classes share the highest score."""
    probable: bool = True
    """Whether the scores are probabilities, or logits of some."""

    @property
    def right(self) -> NDArray[np.bool_]:
        return self.rank == 0


def judge(table: ScoreTable, elements: int = 1 << 20) -> Judged:
    """Rank the true class of every video; `elements` scores at a time, to bound the memory."""
    rows = max(1, elements // len(table.classes))
    starts = range(0, len(table.videos), rows)
    parts = [
        _judge(table.scores[i : i + rows], table.labels[i : i + rows], table.kind) for i in starts
    ]
    return Judged(
        rank=np.concatenate([p.rank for p in parts]),
        predicted=np.concatenate([p.predicted for p in parts]),
        confidence=np.concatenate([p.confidence for p in parts]),
        true_probability=np.concatenate([p.true_probability for p in parts]),
        tied=sum(p.tied for p in parts),
        probable=table.kind != "scores",
    )


def _judge(scores: NDArray[np.float32], labels: NDArray[np.int64], kind: str) -> Judged:
    n, c = scores.shape
    own = scores[np.arange(n), labels][:, None]
    # Ties go to the class that comes first, as argmax has it, so that top-1 is the accuracy of
    # `predicted` to the last video.
    before = (scores > own) | ((scores == own) & (np.arange(c) < labels[:, None]))
    predicted = scores.argmax(axis=1)
    chance = normalise_scores(scores, "logits" if kind == "scores" else kind, "softmax")
    return Judged(
        rank=before.sum(axis=1),
        predicted=predicted,
        confidence=chance[np.arange(n), predicted].astype(np.float32),
        true_probability=chance[np.arange(n), labels].astype(np.float32),
        tied=int(((scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum()),
    )


@dataclass(frozen=True)
class PerClass:
    """(C,) arrays; NaN where a class has no video (recall) or is never predicted (precision)."""

    videos: NDArray[np.int64]
    predicted: NDArray[np.int64]
    right: NDArray[np.int64]

    @property
    def recall(self) -> NDArray[np.float64]:
        return _ratio(self.right, self.videos)

    @property
    def precision(self) -> NDArray[np.float64]:
        return _ratio(self.right, self.predicted)

    @property
    def mean_accuracy(self) -> float:
        """Mean recall over the classes that have a video."""
        return float(np.nanmean(self.recall))


def per_class(judged: Judged, labels: NDArray[np.int64], classes: int) -> PerClass:
    return PerClass(
        videos=np.bincount(labels, minlength=classes),
        predicted=np.bincount(judged.predicted, minlength=classes),
        right=np.bincount(labels[judged.right], minlength=classes),
    )


def confusion(judged: Judged, labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(C, C): row is the true class, column the predicted one."""
    flat = np.bincount(labels * classes + judged.predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)


def log_loss(judged: Judged) -> float:
    """Mean of -log of the true class's probability, in nats."""
    return float(-np.log(np.maximum(judged.true_probability.astype(float), SMALLEST)).mean())


def _ratio(top: NDArray[np.int64], bottom: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)
