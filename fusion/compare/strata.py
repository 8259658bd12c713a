"""Accuracy under conditions: of short and long videos, of little and much motion, and so on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.judge import Measure, SplitEvaluation, resample, share_of

BINS = 4
FEWEST = 5
"""Videos a bin must have."""


@dataclass(frozen=True)
class Condition:
    """The accuracy of every system in up to four parts of the videos, from low values to high."""

    name: str
    unit: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    """The least and the greatest value in each part."""
    videos: tuple[int, ...]
    """Videos in each part."""
    unknown: int
    """Videos whose value is not known; they are in no part."""
    accuracy: Mapping[str, tuple[Measure, ...]]
    """System -> its top-1 in each part."""


def conditions(
    split: SplitEvaluation,
    values: Mapping[tuple[str, str], NDArray[np.float64]],
    draws: int,
    seed: int,
) -> list[Condition]:
    """One for each (name, unit) -> (N,) values, NaN where unknown, that vary enough."""
    found = []
    for (name, unit), column in values.items():
        part = parts_of(column)
        if part is not None:
            found.append(_condition(split, name, unit, column, part, draws, seed))
    return found


def parts_of(values: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64] | None:
    """(N,): which part of about equal size a value falls into, equal values into one; -1 where
    it is unknown. None where the values fill fewer than two parts."""
    known = np.isfinite(values)
    bins = min(bins, int(known.sum()) // FEWEST)
    if bins < 2:
        return None
    edges = np.unique(np.quantile(values[known], np.arange(1, bins) / bins))
    part = np.searchsorted(edges, values, side="left")
    filled, part[known] = np.unique(part[known], return_inverse=True)
    part[~known] = -1
    small = np.bincount(part[known]).min() < FEWEST
    if len(filled) < 2 or (small and bins == 2):
        return None
    return parts_of(values, bins - 1) if small else part


def _condition(
    split: SplitEvaluation,
    name: str,
    unit: str,
    values: NDArray[np.float64],
    part: NDArray[np.int64],
    draws: int,
    seed: int,
) -> Condition:
    parts = range(int(part.max()) + 1)
    inside = np.stack([part == i for i in parts], axis=1)
    accuracy = {}
    for figures in split.figures:
        right = figures.judged.right
        accuracy[figures.name] = tuple(
            _accuracy(right[mask], split.group[mask], draws, seed) for mask in inside.T
        )
    return Condition(
        name=name,
        unit=unit,
        low=tuple(float(values[mask].min()) for mask in inside.T),
        high=tuple(float(values[mask].max()) for mask in inside.T),
        videos=tuple(int(n) for n in inside.sum(axis=0)),
        unknown=int((part < 0).sum()),
        accuracy=accuracy,
    )


def _accuracy(right: NDArray[np.bool_], group: NDArray[np.int64], draws: int, seed: int) -> Measure:
    """Top-1 of some videos, with its interval over the groups that they are of."""
    _, own = np.unique(group, return_inverse=True)
    return share_of(right, own.astype(np.int64), resample(int(own.max()) + 1, draws, seed))
