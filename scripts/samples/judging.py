"""From scores to a verdict: forced choices, accuracy, its interval, and what it says of a system.

Pure functions of arrays. Rows are videos in any order; columns are classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scripts.samples.families import Answer
from storage.errors import UserError

Verdict = Literal["as it must be", "leak", "short", "undetermined"]
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Figure:
    """A share of right answers and what chance leaves open."""

    value: float
    low: float
    high: float
    count: int
    """Answers, or choices."""


def forced_choice(
    scores: Floats,
    labels: Sequence[int] | NDArray[np.integer],
    pairs: Sequence[tuple[int, int]] | NDArray[np.integer],
    tie: float = 1e-6,
) -> Floats:
    """Which of two twins is of which class? float64, one a pair: 1 right, 0 wrong, 1/2 a tie.

    scores (N, C); pairs (M, 2) of rows whose classes differ. A pair (a, b) of classes A and B is
    right where a's score of A over B is greater than b's. What differs by less than `tie` of the
    greatest score is equal: two sums of the same numbers in another order are.
    """
    scores, rows = checked_scores(scores, labels), np.asarray(pairs).reshape(-1, 2)
    classes = np.asarray(labels)[rows]
    if (classes[:, 0] == classes[:, 1]).any():
        raise UserError("a pair of twins is of one class; a forced choice needs two")
    apart = [scores[rows[:, i], classes[:, 0]] - scores[rows[:, i], classes[:, 1]] for i in (0, 1)]
    difference = apart[0] - apart[1]
    equal = np.abs(difference) <= tie * np.abs(scores).max(initial=0)
    return np.where(equal, 0.5, (difference > 0).astype(np.float64))


def right_answers(scores: Floats, labels: Sequence[int] | NDArray[np.integer]) -> Floats:
    """float64 (N,): 1 where the label has the greatest score; 1/k where k share the greatest."""
    scores = checked_scores(scores, labels)
    top = scores == scores.max(axis=1, keepdims=True)
    own = top[np.arange(len(scores)), np.asarray(labels)]
    return own / top.sum(1)


def figure(outcomes: Floats, confidence: float = 0.95) -> Figure:
    """The mean of outcomes between 0 and 1, and its Wilson interval."""
    outcomes = np.asarray(outcomes, np.float64)
    if not len(outcomes):
        raise UserError("no answers to judge")
    low, high = wilson(float(outcomes.sum()), len(outcomes), confidence)
    return Figure(float(outcomes.mean()), low, high, len(outcomes))


def wilson(right: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share of `count` independent answers.

    `right` may hold halves. Answers of twins are not independent: where one must be right and the
    other wrong the interval is wider than need be, never narrower.
    """
    if count < 1 or not 0 <= right <= count:
        raise UserError(f"{right} right of {count} is no share; count must be at least 1")
    if not 0 < confidence < 1:
        raise UserError(f"confidence is {confidence}; it must lie between 0 and 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = right / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    reach = z / (1 + spread) * np.sqrt(share * (1 - share) / count + spread / (4 * count))
    low, high = middle - reach, middle + reach
    return float(min(max(0.0, low), share)), float(max(min(1.0, high), share))


def verdict(found: Figure, answer: Answer, ceiling: float | None, within: float = 0.05) -> Verdict:
    """What a figure says of a system whose family is blind, sees, or may do either.

    blind   a leak where all of the interval lies above the ceiling
    sees    short where the figure is more than `within` under 1: a fault of the system or of its
            training, not blindness
    """
    if answer == "undetermined" or ceiling is None:
        return "undetermined"
    if answer == "blind":
        return "leak" if found.low > ceiling + 1e-9 else "as it must be"
    return "short" if found.value < ceiling - within - 1e-9 else "as it must be"


def checked_scores(
    scores: Floats, labels: Sequence[int] | NDArray[np.integer]
) -> NDArray[np.float64]:
    values, known = np.asarray(scores, np.float64), np.asarray(labels)
    if values.ndim != 2 or len(values) != len(known):
        raise UserError(
            f"scores have shape {values.shape} for {len(known)} labels; give (videos, classes)"
        )
    if not np.isfinite(values).all():
        raise UserError("scores hold NaN or infinity; nothing can be judged by them")
    if len(known) and not (known.min() >= 0 and known.max() < values.shape[1]):
        raise UserError(f"labels go to {known.max()}, scores have {values.shape[1]} classes")
    return values
