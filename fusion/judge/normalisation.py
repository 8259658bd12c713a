"""Bringing the scores of different streams to one scale before they are added."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError
from storage.scores import ScoreTable

NORMALISATIONS = {
    "logits": "as they are; the logarithm where the table holds probabilities",
    "softmax": "probabilities; as they are where the table already holds probabilities",
    "l1": "negatives to 0, then each video's scores divided by their sum",
    "l2": "softmax, then each video's scores divided by their Euclidean length",
    "unit": "each video's scores divided by their Euclidean length, as they are",
    "zscore": "each video's scores less their mean, divided by their standard deviation",
}
"""Every one works on a video alone, so none of them learns from the part it is used on."""


def kind_after(how: str) -> str:
    """What scores are that were normalised, or averaged after it."""
    return {"logits": "logits", "softmax": "probabilities", "l1": "probabilities"}.get(
        how, "scores"
    )


def normalise(table: ScoreTable, how: str) -> NDArray[np.float64]:
    """Scores float64 (N, C) of a table, normalised in the way that `how` names."""
    return normalise_scores(table.scores, table.kind, how)


def probabilities(table: ScoreTable) -> NDArray[np.float64]:
    """float64 (N, C), each row summing to 1: the table's own, or the softmax of its logits."""
    return normalise(table, "softmax")


def normalise_scores(given: NDArray[np.floating], kind: str, how: str) -> NDArray[np.float64]:
    """Scores (N, C) of a `kind` (logits, probabilities or scores) -> float64 (N, C)."""
    scores = given.astype(np.float64)
    if kind == "scores" and how in ("softmax", "l2"):
        raise UserError(
            f"normalisation {how} needs logits or probabilities; these are other scores, such as "
            "averages after l2, unit or zscore: take --normalise logits, l1, unit or zscore"
        )
    if how == "logits":
        # log p differs from the logits by a constant for each video, so the ranking of a
        # weighted sum is that of the logits themselves.
        return np.log(np.maximum(scores, 1e-12)) if kind == "probabilities" else scores
    if how == "softmax":
        return _shares(scores) if kind == "probabilities" else _softmax(scores)
    if how == "l1":
        return _shares(scores)
    if how == "l2":
        chances = normalise_scores(given, kind, "softmax")
        return _of_unit_length(chances)
    if how == "unit":
        return _of_unit_length(normalise_scores(given, kind, "logits"))
    if how == "zscore":
        scores -= scores.mean(axis=1, keepdims=True)
        spread = scores.std(axis=1, keepdims=True)
        return np.divide(scores, spread, out=np.zeros_like(scores), where=spread > 0)
    raise UserError(f"normalisation {how!r} is not one of {', '.join(NORMALISATIONS)}")


def _of_unit_length(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(scores, axis=1, keepdims=True)
    return np.divide(scores, length, out=np.zeros_like(scores), where=length > 0)


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def _shares(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    np.maximum(scores, 0, out=scores)
    total = scores.sum(axis=1, keepdims=True)
    return np.divide(scores, total, out=np.full_like(scores, 1 / scores.shape[1]), where=total > 0)
