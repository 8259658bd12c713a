"""Verdicts follow from scores; and the theorems behind the ceilings hold for any scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest

from scripts.samples.judging import Figure, figure, forced_choice, right_answers, verdict, wilson
from storage.errors import UserError

numbers = st.floats(-10, 10, width=32).map(lambda v: round(v, 3))


def two_class(margins: np.ndarray) -> np.ndarray:
    """Scores (N, 2) whose score of class 1 over class 0 is the margin."""
    return np.stack([-margins / 2, margins / 2], axis=1)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_scipys(answers: tuple[int, int]) -> None:
    right, count = answers
    expected = binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert wilson(right, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(arrays(np.float64, (8, 3), elements=numbers))
def test_the_order_within_a_pair_does_not_matter(scores: np.ndarray) -> None:
    labels, pairs = [0, 1, 2, 0, 1, 2, 0, 1], [(0, 1), (2, 3), (4, 5), (6, 7)]
    there = forced_choice(scores, labels, pairs)
    assert np.array_equal(there, forced_choice(scores, labels, [(b, a) for a, b in pairs]))
    assert np.array_equal(1 - there, forced_choice(-scores, labels, pairs))
    assert set(there) <= {0.0, 0.5, 1.0}


@given(arrays(np.float64, (6, 2), elements=numbers), st.permutations(range(6)))
def test_the_order_of_the_videos_does_not_matter(scores: np.ndarray, order: list[int]) -> None:
    labels, pairs = np.array([0, 1, 0, 1, 0, 1]), np.array([(0, 1), (2, 3), (4, 5)])
    moved = np.argsort(order)[pairs]
    expected = forced_choice(scores, labels, pairs)
    assert np.array_equal(forced_choice(scores[order], labels[order], moved), expected)


def test_ties_count_a_half_and_rounding_is_a_tie() -> None:
    numbers = np.random.default_rng(0).random(1000).astype(np.float32)
    scores = two_class(np.array([numbers.mean(), numbers[::-1].mean() + 1e-8], np.float64))
    assert forced_choice(scores, [0, 1], [(0, 1)]) == [0.5]
    assert forced_choice(np.zeros((2, 2)), [0, 1], [(0, 1)]) == [0.5]
    assert list(right_answers(np.zeros((3, 4)), [0, 1, 2])) == [0.25] * 3


@given(arrays(np.float64, (2, 9), elements=numbers), arrays(np.float64, (2, 9), elements=numbers))
def test_binding_no_sum_of_colour_and_direction_does_better_than_half(
    of_colour: np.ndarray, of_time: np.ndarray
) -> None:
    for family in range(9):
        margins = np.array([of_colour[c, family] + of_time[t, family] for c, t in CORNERS])
        labels = [c ^ t for c, t in CORNERS]
        choices = forced_choice(two_class(margins), labels, [(0, 1), (2, 3)])
        assert choices.mean() == 0.5


CORNERS = [(0, 0), (0, 1), (1, 0), (1, 1)]


@given(
    arrays(np.float64, (2, 8, 2), elements=numbers),
    arrays(np.float64, (2, 8), elements=st.floats(0.01, 5)),
    st.permutations(range(8)),
)
def test_variety_sums_are_right_half_the_time_and_maxima_and_attention_three_quarters(
    shown: np.ndarray, weights: np.ndarray, order: list[int]
) -> None:
    """`shown` are both classes' scores of the eight snapshots, going down and going up."""
    mixture = np.array(order) < 4
    ways = [np.ones(8, int), mixture.astype(int), np.zeros(8, int), 1 - mixture]
    labels, moments = [1, 0, 1, 0], np.arange(8)
    seen = np.stack([shown[way, moments] for way in ways])  # (4, 8, 2)
    weight = np.stack([weights[way, moments] for way in ways])[..., None]
    total = seen.sum(1)
    assert forced_choice(total, labels, [(0, 1), (2, 3)], tie=1e-9).mean() == 0.5
    segment_weights = np.linspace(0.1, 1, 8)[None, :, None]
    learned = (segment_weights * seen).sum(1)
    assert forced_choice(learned, labels, [(0, 1), (2, 3)], tie=1e-9).mean() == 0.5
    for scores in (total, seen.max(1), (weight * seen).sum(1) / weight.sum(1)):
        margins = scores[:, 1] - scores[:, 0]
        certain = (margins > 1e-9) == np.array(labels)
        assert (certain & (np.abs(margins) > 1e-9)).sum() <= 3


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_blind_leak_only_above_their_ceiling_and_the_seeing_fall_short_only_under_one(
    answers: tuple[int, int],
) -> None:
    right, count = answers
    found = figure((np.arange(count) < right).astype(np.float64))
    assert found.low <= found.value <= found.high
    assert verdict(found, "undetermined", None) == "undetermined"
    leak = verdict(found, "blind", 0.5) == "leak"
    assert leak == (found.low > 0.5 + 1e-9)
    assert (verdict(found, "sees", 1.0) == "short") == (found.value < 0.95 - 1e-9)
    assert verdict(found, "blind", 1.0) == "as it must be"


def test_what_cannot_be_judged_is_named() -> None:
    with pytest.raises(UserError, match="of one class"):
        forced_choice(np.zeros((2, 2)), [1, 1], [(0, 1)])
    with pytest.raises(UserError, match="NaN"):
        right_answers(np.full((2, 2), np.nan), [0, 1])
    with pytest.raises(UserError, match="shape"):
        right_answers(np.zeros((2, 2)), [0, 1, 0])
    with pytest.raises(UserError, match="labels go to 2"):
        right_answers(np.zeros((1, 2)), [2])
    with pytest.raises(UserError, match="no answers"):
        figure(np.zeros(0))
    with pytest.raises(UserError, match="right of"):
        wilson(3, 2)
    with pytest.raises(UserError, match="confidence"):
        wilson(1, 2, 1.5)
    assert verdict(Figure(0.9, 0.8, 0.95, 60), "sees", 1.0, within=0.1) == "as it must be"
