"""The accuracy of every weighting of two streams, exactly and in one pass.

With share t of the second stream, the true class y beats class j where
(1 - t) (a_y - a_j) + t (b_y - b_j) >= 0, which is linear in t. So each video is right for the t of
one interval, and the whole curve is a count of intervals: no grid, and no step is missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fusion.judge import LEVEL, normalise_scores, resampled_shares
from storage.scores import ScoreTable

POINTS = 101
SHOWN = ("softmax", "logits", "l1")
"""Normalisations whose curves are drawn."""
MOST_PAIRS = 6
ELEMENTS = 1 << 20
"""Scores looked at together, which bounds the memory."""


@dataclass(frozen=True)
class WeightCurve:
    """Top-1 of (1 - share) x first + share x second stream, for shares from 0 to 1."""

    first: str
    second: str
    normalise: str
    part: str
    share: NDArray[np.float64]
    """(P,)."""
    accuracy: NDArray[np.float64]
    """(P,)."""
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    """(P,): 95 % interval at each share, by bootstrap over groups."""

    @property
    def best_share(self) -> float:
        """The middle of the shares that are best."""
        best = np.flatnonzero(self.accuracy == self.accuracy.max())
        return float(self.share[best].mean())


def weight_curve(
    first: ScoreTable,
    second: ScoreTable,
    how: str,
    group: NDArray[np.int64],
    counts: NDArray[np.uint8],
    points: int = POINTS,
) -> WeightCurve:
    """Sweep the weight of two joined tables; `group` and `counts` as for the bootstrap."""
    starts, ends = winning_shares(first, second, how)
    share = np.linspace(0, 1, points)
    right = (starts[:, None] <= share) & (share <= ends[:, None])
    accuracy = right.mean(axis=0)
    if counts.shape[1] > 1:
        drawn = resampled_shares(counts, group, right)
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    else:
        low = high = accuracy
    return WeightCurve(first.stream, second.stream, how, first.part, share, accuracy, low, high)


def winning_shares(
    first: ScoreTable, second: ScoreTable, how: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From which to which share (N,), (N,) each video is right; from 1 to 0 where for none."""
    parts = []
    step = max(1, ELEMENTS // len(first.classes))
    for start in range(0, len(first.videos), step):
        rows = slice(start, start + step)
        a, b = (normalise_scores(t.scores[rows], t.kind, how) for t in (first, second))
        parts.append(_winning(a, b, first.labels[rows]))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _winning(
    a: NDArray[np.float64], b: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = np.arange(len(labels))
    lead_a = a[rows, labels][:, None] - a
    lead_b = b[rows, labels][:, None] - b
    # The true class wins at t where lead_a + t (lead_b - lead_a) >= 0; of equals argmax takes the
    # first class, so against the classes before it, it must truly lead.
    slope = lead_b - lead_a
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        crossing = -lead_a / slope
    earlier = np.arange(a.shape[1]) < labels[:, None]
    starts = np.where(slope > 0, crossing, 0.0)
    ends = np.where(slope < 0, crossing, 1.0)
    starts = np.where(earlier & (slope > 0), np.nextafter(starts, 2), starts)
    ends = np.where(earlier & (slope < 0), np.nextafter(ends, -1), ends)
    never = (slope == 0) & ((lead_a < 0) | (earlier & (lead_a == 0)))
    starts[rows, labels], ends[rows, labels], never[rows, labels] = 0.0, 1.0, False
    start = np.maximum(starts.max(axis=1), 0.0)
    end = np.minimum(ends.min(axis=1), 1.0)
    lost = never.any(axis=1) | (start > end)
    return np.where(lost, 1.0, start), np.where(lost, 0.0, end)


def weight_curves(
    tables: list[ScoreTable], group: NDArray[np.int64], counts: NDArray[np.uint8]
) -> list[WeightCurve]:
    """The curves of every pair of joined single streams, for the usual normalisations."""
    # With many streams the pairs are too many to look at; the first ones stay.
    pairs = list(combinations(tables, 2))[:MOST_PAIRS]
    return [
        weight_curve(a, b, how, group, counts)
        for a, b in pairs
        for how in SHOWN
        if how != "softmax" or "scores" not in (a.kind, b.kind)
    ]
