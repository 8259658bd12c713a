from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from fusion.judge.bootstrap import (
    holm,
    interval,
    mcnemar,
    paired,
    resample,
    resampled_mean_recall,
    resampled_sums,
    sign_flip,
)


def test_draws_take_as_many_groups_as_there_are() -> None:
    counts = resample(50, 300, seed=1)
    assert (counts.sum(axis=1) == 50).all()
    assert abs(counts.mean(axis=0) - 1).max() < 0.3
    np.testing.assert_array_equal(counts, resample(50, 300, seed=1))
    assert (counts != resample(50, 300, seed=2)).any()


def test_sums_are_those_of_drawing_the_videos_themselves() -> None:
    generator = np.random.default_rng(0)
    group = generator.integers(0, 8, 40)
    group[:8] = range(8)
    columns = generator.normal(size=(40, 3))
    counts = resample(8, 20)
    for drawn, weights in zip(resampled_sums(counts, group, columns), counts, strict=True):
        rows = np.concatenate([np.flatnonzero(group == g) for g in np.repeat(range(8), weights)])
        np.testing.assert_allclose(drawn, columns[rows].sum(axis=0))


def test_mean_recall_of_draws_leaves_out_the_classes_that_a_draw_lacks() -> None:
    generator = np.random.default_rng(0)
    group, labels = np.arange(30) // 3, np.arange(30) // 6
    right = generator.random(30) < 0.6
    counts = resample(10, 150)
    for drawn, weights in zip(
        resampled_mean_recall(counts, group, labels, right, 7), counts, strict=True
    ):
        rows = np.concatenate([np.flatnonzero(group == g) for g in np.repeat(range(10), weights)])
        recall = [right[rows][labels[rows] == c].mean() for c in np.unique(labels[rows])]
        assert drawn == pytest.approx(np.mean(recall))


def test_the_interval_holds_the_truth_in_95_of_100_samples_though_videos_are_not_independent() -> (
    None
):
    generator = np.random.default_rng(0)
    held = narrow = 0
    counts = resample(60, 400)
    for _ in range(300):
        skill = generator.beta(2, 1, 60)  # a source's videos are right or wrong together
        right = (generator.random((60, 5)) < skill[:, None]).ravel()
        group = np.repeat(np.arange(60), 5)
        columns = np.stack([right, np.ones(300)], axis=1).astype(float)
        sums = resampled_sums(counts, group, columns)
        measure = interval(right.mean(), sums[:, 0] / sums[:, 1], 60)
        assert measure.low is not None
        assert measure.high is not None
        held += measure.low <= 2 / 3 <= measure.high
        wrong_width = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 300)
        narrow += abs(right.mean() - 2 / 3) <= wrong_width
    # Binomial bounds of 95 % at 300 samples, less a little for the percentile interval's own bias.
    assert binom.ppf(0.001, 300, 0.93) <= held
    assert narrow < held


def test_all_right_is_not_certain() -> None:
    measure = interval(1.0, np.ones(100), 20)
    assert measure.high == 1
    assert measure.low == pytest.approx(20 / (20 + 1.96**2), abs=1e-3)
    # Two classes always right and two always wrong: every draw's mean recall is a half.
    half = interval(0.5, np.full(100, 0.5), 20)
    assert (half.low, half.high) == pytest.approx(binomtest(10, 20).proportion_ci(method="wilson"))
    assert half.method == "Wilson over groups"
    zero = interval(0.0, np.zeros(100), 20)
    assert zero.high == pytest.approx(1 - (measure.low or 0))
    assert interval(1.0, np.ones(100), 1).low is None


def brute_force(differ: list[int]) -> float:
    seen = abs(sum(differ))
    sums = [abs(sum(s * d for s, d in zip(signs, differ, strict=True)))
            for signs in product((-1, 1), repeat=len(differ))]  # fmt: skip
    return float(np.mean([s >= seen for s in sums]))


@pytest.mark.parametrize(
    "differ", [[1], [2, 1], [3, -1, 1, 1], [1] * 10, [5, -5], [4, 4, -1, 2], [-3, 1], [-1] * 6]
)
def test_sign_flip_goes_through_all_flips_of_few_groups(differ: list[int]) -> None:
    p, exact = sign_flip(np.array([0, 0, *differ], float))
    assert exact
    assert p == pytest.approx(brute_force(differ))


def test_sign_flip_of_many_groups_is_near_the_exact_binomial() -> None:
    by_group = np.array([1.0] * 32 + [-1.0] * 18)
    p, exact = sign_flip(by_group)
    assert not exact
    assert p == pytest.approx(binomtest(32, 50).pvalue, abs=0.01)
    assert sign_flip(np.zeros(9)) == (1.0, True)


def test_groups_make_the_test_careful_where_mcnemar_is_sure() -> None:
    """Five sources, all of whose ten videos change together, are five observations and not 50."""
    right = np.repeat([1, 1, 1, 1, 1, 1, 0], 10).astype(bool)
    other = np.repeat([0, 0, 0, 0, 0, 1, 0], 10).astype(bool)
    group = np.repeat(np.arange(7), 10)
    test = paired("fused", "single", right, other, group, resample(7))
    assert (test.won, test.lost) == (50, 0)
    assert test.p == pytest.approx(2 / 2**5)
    assert test.p_videos < 1e-14
    assert test.gain.value == pytest.approx(5 / 7)
    assert test.gain.low is not None
    assert test.gain.low < 5 / 7


def test_mcnemar_and_holm() -> None:
    assert mcnemar(9, 2) == pytest.approx(binomtest(9, 11).pvalue)
    assert mcnemar(0, 0) == 1.0
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_equal_tables_gain_nothing_and_p_is_1() -> None:
    right = np.arange(20) % 3 == 0
    test = paired("a", "b", right, right, np.arange(20), resample(20))
    assert (test.p, test.p_videos, test.gain.value, test.gain.low) == (1.0, 1.0, 0.0, 0.0)
