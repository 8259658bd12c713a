from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_up_scores import accuracy, made_up

from fusion.judge.bootstrap import resample
from fusion.scores.averaging import average
from fusion.scores.sweep import weight_curve, weight_curves, winning_shares


@pytest.mark.parametrize("how", ["softmax", "logits", "l1", "l2", "zscore"])
def test_every_point_is_the_accuracy_of_that_very_fusion(how: str) -> None:
    a, b = made_up("spatial", videos=200), made_up("temporal", videos=200)
    group = np.arange(200) // 10
    curve = weight_curve(a, b, how, group, resample(20, 200), points=21)
    for share, found in zip(curve.share, curve.accuracy, strict=True):
        assert found == accuracy(average([a, b], [1 - share, share], how))
    assert (curve.low <= curve.accuracy).all()
    assert (curve.accuracy <= curve.high).all()
    assert curve.part == "test"


small = arrays(np.float64, (6, 3), elements=st.integers(-3, 3).map(float))


@settings(max_examples=200, deadline=None)
@given(small, small, arrays(np.int64, 6, elements=st.integers(0, 2)), st.integers(0, 8))
def test_ties_fall_as_argmax_lets_them_fall(
    a: np.ndarray, b: np.ndarray, labels: np.ndarray, eighths: int
) -> None:
    """Whole numbers tie often; eighths keep the sums exact."""
    one, two = (
        made_up(s, videos=6, classes=3, groups=6, labels=labels, scores=z)
        for s, z in (("a", a), ("b", b))
    )
    t = eighths / 8
    right = ((1 - t) * a + t * b).argmax(axis=1) == labels
    start, end = winning_shares(one, two, "logits")
    # A crossing such as 1/3 is no eighth; those that are, are exact.
    np.testing.assert_array_equal((start <= t) & (t <= end), right)


def test_curves_of_all_pairs() -> None:
    tables = [made_up(s) for s in ("spatial", "temporal", "audio")]
    curves = weight_curves(tables, np.arange(60) // 3, resample(20, 50))
    assert {(c.first, c.second) for c in curves} == {
        ("spatial", "temporal"), ("spatial", "audio"), ("temporal", "audio"),
    }  # fmt: skip
    assert len(curves) == 9


def test_the_best_share_is_in_the_middle_of_the_best() -> None:
    a, b = made_up("spatial", skill=0.0), made_up("temporal", skill=50.0)
    curve = weight_curve(a, b, "softmax", np.arange(60), resample(60, 20))
    assert curve.accuracy[curve.share.searchsorted(curve.best_share)] == curve.accuracy.max() == 1
    assert 0.6 < curve.best_share < 0.9
