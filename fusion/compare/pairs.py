"""Every system against every other one: gains, intervals, and p corrected for all pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fusion.judge import (
    FLIPS,
    LEVEL,
    SplitEvaluation,
    flips_for,
    holm,
    resample,
    resampled_shares,
    shared_groups,
    sign_flips,
    sums_by_group,
)

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """K systems on the same videos. Of every (K, K) array the row is compared with the column."""

    names: tuple[str, ...]
    accuracy: Matrix
    """(K,): top-1; over several splits the mean of theirs."""
    gain: Matrix
    """Accuracy of the row less that of the column."""
    low: Matrix
    high: Matrix
    """The gain's 95 % interval by bootstrap over groups; NaN where one group alone gives none."""
    p: Matrix
    """Two-sided sign-flip test over groups; 1 on the diagonal."""
    p_holm: Matrix
    """`p` after Holm's correction for all K (K - 1) / 2 pairs."""
    won: NDArray[np.int64]
    """Videos that the row has right and the column wrong."""
    disagree: Matrix
    """Share of the videos that the two answer differently; the mean over several splits."""

    @property
    def apart(self) -> NDArray[np.bool_]:
        """Which pairs can be told apart."""
        return self.p_holm < 1 - LEVEL

    @property
    def order(self) -> list[int]:
        """Systems from the most accurate to the least; of equals, the first given."""
        return [int(i) for i in np.argsort(-self.accuracy, kind="stable")]


def compare(split: SplitEvaluation, draws: int, seed: int) -> Comparison:
    """All tables of a split. A p that `split.tests` states is taken from there, if it is from as
    many flips."""
    names = tuple(f.name for f in split.figures)
    right = split.rights(names)
    counts = resample(split.groups, draws, seed)
    known = {(test.name, test.against): test.p for test in split.tests}
    return _compare(
        names=names,
        accuracy=right.mean(axis=0),
        by_group=sums_by_group(right, split.group, split.groups),
        drawn=resampled_shares(counts, split.group, right),
        won=(right.T @ (1 - right)).astype(np.int64),
        disagree=disagreement(split, names),
        known=known,
        seed=seed,
    )


def compare_splits(
    splits: Sequence[SplitEvaluation], names: Sequence[str], draws: int, seed: int
) -> Comparison:
    """The mean over splits of the systems `names`, which every split has. A group that several
    splits test counts once: its difference is the sum of what it adds to each split's mean."""
    groups, each = shared_groups(splits)
    counts = resample(groups, draws, seed)
    by_group = np.zeros((groups, len(names)))
    drawn = np.zeros((draws, len(names)))
    accuracy = np.zeros(len(names))
    won = np.zeros((len(names), len(names)), np.int64)
    disagree = np.zeros((len(names), len(names)))
    for split, group in zip(splits, each, strict=True):
        right = split.rights(names)
        drawn += resampled_shares(counts, group, right) / len(splits)
        by_group += sums_by_group(right, group, groups) / (len(right) * len(splits))
        accuracy += right.mean(axis=0) / len(splits)
        won += (right.T @ (1 - right)).astype(np.int64)
        disagree += disagreement(split, names) / len(splits)
    return _compare(tuple(names), accuracy, by_group, drawn, won, disagree, {}, seed)


def disagreement(split: SplitEvaluation, names: Sequence[str]) -> Matrix:
    """(K, K): share of the videos that two systems answer differently."""
    answers = np.stack([split[name].judged.predicted for name in names])
    return np.stack([(answers != own).mean(axis=1) for own in answers])


def _compare(
    names: tuple[str, ...],
    accuracy: Matrix,
    by_group: Matrix,
    drawn: Matrix,
    won: NDArray[np.int64],
    disagree: Matrix,
    known: Mapping[tuple[str, str], float],
    seed: int,
) -> Comparison:
    systems = len(names)
    pairs = list(combinations(range(systems), 2))
    p_values = sign_flips(by_group, pairs, seed)
    for i, (a, b) in enumerate(pairs if flips_for(len(pairs)) == FLIPS else ()):
        stated = known.get((names[a], names[b]), known.get((names[b], names[a])))
        p_values[i] = p_values[i] if stated is None else stated
    shape = (systems, systems)
    low, high = np.full(shape, np.nan), np.full(shape, np.nan)
    p, p_holm = np.ones(shape), np.ones(shape)
    for (a, b), one, corrected in zip(pairs, p_values, holm(p_values), strict=True):
        p[a, b] = p[b, a] = one
        p_holm[a, b] = p_holm[b, a] = corrected
        if len(by_group) > 1:
            ends = np.quantile(drawn[:, a] - drawn[:, b], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            low[a, b], high[a, b] = ends
            low[b, a], high[b, a] = -ends[::-1]
    gain = accuracy[:, None] - accuracy[None, :]
    return Comparison(names, accuracy, gain, low, high, p, p_holm, won, disagree)
