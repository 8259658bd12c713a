"""Intervals and paired tests that know that videos of one source are not independent.

Whole groups are drawn, never single videos: the clips that UCF-101 cuts out of one video rise and
fall together, and drawing them singly makes intervals too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
LEVEL = 0.95
ENUMERATE = 14
"""Up to this many groups that differ, the sign-flip test goes through all 2^n flips."""
FLIPS = 20_000
ELEMENTS = 1 << 22
"""Numbers held at a time while draws and flips are summed."""


@dataclass(frozen=True)
class Measure:
    """A figure with its interval; no interval where one group alone cannot give one."""

    value: float
    low: float | None = None
    high: float | None = None
    method: str = "none"

    def percent(self) -> str:
        """`75.532 %  [67.10, 83.70]`, to stand in a column."""
        reach = (
            "" if self.low is None else f"  [{100 * self.low:.2f}, {100 * (self.high or 0):.2f}]"
        )
        return f"{100 * self.value:7.3f} %{reach}"


def resample(groups: int, draws: int = DRAWS, seed: int = 0) -> NDArray[np.uint8]:
    """(draws, groups): how often each group was drawn, `groups` drawn with replacement a time.

    A byte holds it: of up to 255 groups none can be drawn more often, and of more none ever is.
    """
    generator = np.random.default_rng(seed)
    counts = np.empty((draws, groups), np.uint8)
    for i in range(draws):
        counts[i] = np.bincount(generator.integers(groups, size=groups), minlength=groups)
    return counts


def resampled_sums(
    counts: NDArray[np.uint8], group: NDArray[np.int64], columns: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Sums of each column (N, K) over the videos of every draw: float64 (draws, K)."""
    return _times(counts, sums_by_group(columns, group, counts.shape[1]))


def resampled_shares(
    counts: NDArray[np.uint8], group: NDArray[np.int64], hits: NDArray[np.generic]
) -> NDArray[np.float64]:
    """Which share of the videos of every draw is a hit, for each column (N, K): (draws, K); 0 in a
    draw that has no videos."""
    sums = resampled_sums(counts, group, np.column_stack([hits, np.ones(len(hits))]))
    return sums[:, :-1] / np.maximum(sums[:, -1:], 1)


def sums_by_group(
    columns: NDArray[np.floating], group: NDArray[np.int64], groups: int
) -> NDArray[np.float64]:
    """(groups, K): the sum of each column (N, K) over the videos of each group."""
    sums = np.zeros((groups, columns.shape[1]))
    np.add.at(sums, group, columns)
    return sums


def resampled_mean_recall(
    counts: NDArray[np.uint8],
    group: NDArray[np.int64],
    labels: NDArray[np.int64],
    right: NDArray[np.bool_],
    classes: int,
) -> NDArray[np.float64]:
    """Mean class accuracy of every draw, over the classes that the draw has: float64 (draws,)."""
    from scipy.sparse import csr_array

    shape = (counts.shape[1], classes)
    videos = csr_array((np.ones(len(labels)), (group, labels)), shape)
    hits = csr_array((right.astype(float), (group, labels)), shape)
    means = [
        np.nanmean(np.where(n > 0, (chunk @ hits) / np.maximum(n, 1), np.nan), axis=1)
        for chunk in _pieces(counts)
        for n in [chunk @ videos]
    ]
    return np.concatenate(means)


def _pieces(counts: NDArray[np.uint8]) -> Iterator[NDArray[np.float64]]:
    """The draws as float64, some at a time: with many groups all of them would fill the memory."""
    rows = max(1, ELEMENTS // counts.shape[1])
    return (counts[i : i + rows].astype(np.float64) for i in range(0, len(counts), rows))


def _times(counts: NDArray[np.uint8], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([piece @ sums for piece in _pieces(counts)])


def interval(
    value: float, draws: NDArray[np.float64], groups: int, *, share: bool = True
) -> Measure:
    """Percentile interval of a figure from its draws.

    A share of 0 or 1 is the same in every draw, and so is the mean recall of classes that are each
    all right or all wrong, which would make an interval without width: there Wilson's interval is
    taken, counting each group once.
    """
    if groups < 2:
        return Measure(value, method="none: one group")
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if share and high - low < 1e-12:
        return Measure(value, *wilson(value, groups), "Wilson over groups")
    return Measure(value, float(low), float(high), "bootstrap over groups")


def share_of(
    hits: NDArray[np.bool_], group: NDArray[np.int64], counts: NDArray[np.uint8]
) -> Measure:
    """The share of videos (N,) that are hits, with its interval."""
    draws = resampled_shares(counts, group, hits[:, None])[:, 0]
    return interval(float(hits.mean()), draws, counts.shape[1])


def wilson(value: float, groups: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of so many independent groups."""
    z2 = 1.959964**2
    middle = value + z2 / (2 * groups)
    reach = math.sqrt(z2 * value * (1 - value) / groups + (z2 / (2 * groups)) ** 2)
    scale = 1 + z2 / groups
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


@dataclass(frozen=True)
class Paired:
    """One table against another on the same videos."""

    name: str
    against: str
    gain: Measure
    """Accuracy of `name` less that of `against`."""
    won: int
    """Videos that `name` has right and `against` wrong."""
    lost: int
    p: float
    """Two-sided sign-flip test over groups; the one to quote."""
    p_videos: float
    """Exact McNemar test over videos; right only where videos are independent."""
    p_holm: float = 1.0
    """`p` after Holm's correction for all the fusions in the report."""
    exact: bool = True
    """Whether all flips were gone through, or drawn at random."""


def paired(
    name: str,
    against: str,
    right: NDArray[np.bool_],
    other: NDArray[np.bool_],
    group: NDArray[np.int64],
    counts: NDArray[np.uint8],
    seed: int = 0,
) -> Paired:
    """Does `right` beat `other` by more than chance?"""
    gained = right.astype(float) - other
    by_group = np.bincount(group, gained, counts.shape[1]).astype(float)
    videos = np.bincount(group, minlength=counts.shape[1]).astype(float)
    drawn = _times(counts, np.stack([by_group, videos], axis=1))
    gain = interval(float(gained.mean()), drawn[:, 0] / drawn[:, 1], len(videos), share=False)
    p, exact = sign_flip(by_group, seed)
    won, lost = int((gained > 0).sum()), int((gained < 0).sum())
    return Paired(name, against, gain, won, lost, p, mcnemar(won, lost), exact=exact)


def sign_flip(by_group: NDArray[np.float64], seed: int = 0) -> tuple[float, bool]:
    """Two-sided p that the groups' differences are symmetric about 0, and whether it is exact.

    Were both tables equally good, swapping them within a group would change nothing but the sign
    of its difference; p is the share of such swaps that give a sum as large as the one seen.
    """
    differ = by_group[by_group != 0]
    seen = abs(differ.sum())
    if len(differ) <= ENUMERATE:
        codes = np.arange(2 ** len(differ))[:, None] >> np.arange(len(differ))
        sums = (1 - 2.0 * (codes & 1)) @ differ
        return float((abs(sums) >= seen - 1e-9).mean()), True
    generator = np.random.default_rng(seed)
    extreme = 0
    rows = max(1, min(FLIPS, ELEMENTS // len(differ)))
    for start in range(0, FLIPS, rows):
        signs = generator.integers(0, 2, (min(rows, FLIPS - start), len(differ)), np.int8)
        extreme += int((abs((1 - 2.0 * signs) @ differ) >= seen - 1e-9).sum())
    return (extreme + 1) / (FLIPS + 1), False


def sign_flips(
    by_group: NDArray[np.float64], pairs: Sequence[tuple[int, int]], seed: int = 0
) -> list[float]:
    """`sign_flip` of many pairs of columns of `by_group` (G, K), the same flips for all of them.

    A flip of the difference of two columns is the difference of their flips, so each column is
    summed once a flip, however many pairs it is in.
    """
    flips = flips_for(len(pairs))
    p_values = []
    many = []
    for at, (a, b) in enumerate(pairs):
        difference = by_group[:, a] - by_group[:, b]
        few = np.count_nonzero(difference) <= ENUMERATE
        p_values.append(sign_flip(difference)[0] if few else 1.0)
        if not few:
            many.append(at)
    if not many:
        return p_values
    first, second = np.array([pairs[at] for at in many]).T
    seen = abs((by_group[:, first] - by_group[:, second]).sum(axis=0))
    extreme = np.zeros(len(many), np.int64)
    generator = np.random.default_rng(seed)
    rows = max(1, min(flips, ELEMENTS // max(len(by_group), len(many))))
    for start in range(0, flips, rows):
        size = (min(rows, flips - start), len(by_group))
        sums = (1 - 2.0 * generator.integers(0, 2, size, np.int8)) @ by_group
        extreme += (abs(sums[:, first] - sums[:, second]) >= seen - 1e-9).sum(axis=0)
    for at, count in zip(many, extreme.tolist(), strict=True):
        p_values[at] = (count + 1) / (flips + 1)
    return p_values


def flips_for(pairs: int) -> int:
    """With more flips than usual for over 100 pairs: else the smallest p there can be, corrected
    for all pairs, would itself come near 0.05."""
    return max(FLIPS, 200 * pairs)


def mcnemar(won: int, lost: int) -> float:
    """Exact two-sided binomial p of `won` against `lost` discordant videos."""
    from scipy.stats import binomtest

    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction, in the order given."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for step, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - step) * p_values[i]))
        adjusted[i] = largest
    return adjusted
