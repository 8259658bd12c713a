from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_scores import made_up
from scipy.special import log_softmax
from sklearn.metrics import average_precision_score, precision_recall_curve

from fusion.judge import expected_noise, precision_of_classes
from fusion.judge.bootstrap import resample
from fusion.judge.calibration import calibration
from fusion.judge.precision_interval import drawn_precision, mean_average_precision
from fusion.judge.precision_recall import LEVELS


@pytest.mark.parametrize("kind", ["logits", "probabilities", "scores"])
def test_average_precision_is_scikit_learns_with_ties_and_without(kind: str) -> None:
    table = made_up("a", videos=150, classes=7, skill=0.7)
    scores = table.scores
    if kind == "probabilities":
        scores = np.exp(log_softmax(scores, axis=1)).round(1)  # many ties
        scores /= scores.sum(axis=1, keepdims=True)
        scores = np.nan_to_num(scores, nan=1 / 7).astype(np.float32)
    if kind == "scores":
        scores = scores.round(0)
    table = replace(table, scores=scores, kind=kind)
    ranked = table.scores
    if kind == "logits":
        ranked = log_softmax(table.scores.astype(float), axis=1)
    for c, found in enumerate(precision_of_classes(table).average):
        assert found == pytest.approx(average_precision_score(table.labels == c, ranked[:, c]))
    for c, curve in enumerate(precision_of_classes(table).curves):
        precision, recall, _ = precision_recall_curve(table.labels == c, ranked[:, c])
        wanted = [precision[recall >= (k + 1) / LEVELS - 1e-9].max() for k in range(LEVELS)]
        np.testing.assert_allclose(curve, wanted, rtol=1e-6)


def test_a_class_without_videos_has_no_average_precision() -> None:
    table = made_up("a", classes=5)
    table = table.rows(np.flatnonzero(table.labels != 3))
    precision = precision_of_classes(table)
    found = precision.average
    assert np.isnan(found[3])
    assert precision.mean == pytest.approx(np.delete(found, 3).mean())
    assert np.isfinite(np.delete(found, 3)).all()
    assert np.isnan(precision.curves[3]).all()


def test_logits_that_are_far_from_0_are_ranked_as_probabilities() -> None:
    """A video's logits are known up to a constant."""
    table = made_up("a", videos=60)
    moved = replace(table, scores=table.scores + np.arange(60, dtype=np.float32)[:, None])
    one, other = precision_of_classes(table), precision_of_classes(moved)
    np.testing.assert_allclose(one.average, other.average)


@pytest.mark.parametrize("videos", [30, 3000])
def test_the_noise_of_the_calibration_error_is_that_of_a_calibrated_system(videos: int) -> None:
    generator = np.random.default_rng(1)
    sure = generator.uniform(0.3, 1, videos)
    errors = [calibration(sure, generator.random(videos) < sure).expected_error for _ in range(200)]
    assert expected_noise(sure) == pytest.approx(np.mean(errors), rel=0.15)


@pytest.mark.parametrize("rounded", [False, True])
def test_a_drawn_map_is_scikit_learns_with_the_draws_as_weights(rounded: bool) -> None:
    table = made_up("a", videos=90, classes=4, groups=15, skill=0.8)
    table = replace(table, scores=table.scores.round(0) if rounded else table.scores, kind="scores")
    group, counts = np.arange(90) * 15 // 90, resample(15, 12, seed=2)
    for found, times in zip(drawn_precision(table, group, counts), counts, strict=True):
        weight = times[group]
        each = [
            average_precision_score(table.labels == c, table.scores[:, c], sample_weight=weight)
            for c in range(4)
            if weight[table.labels == c].any()
        ]
        assert found == pytest.approx(np.mean(each), rel=1e-5)


def test_a_class_that_a_draw_lacks_does_not_count_in_it() -> None:
    table = made_up("a", videos=30, classes=3, groups=3)
    table = replace(table, labels=np.arange(30) // 10)  # a group a class
    (found,) = drawn_precision(table, np.arange(30) // 10, np.array([[3, 0, 0]], np.uint8))
    assert found == 1  # all that were drawn are of the one class


def test_the_interval_of_map_holds_what_samples_give_on_average_in_95_of_100() -> None:
    generator = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 3)
    found = []
    for _ in range(150):
        table = made_up("a", videos=120, classes=3)
        labels = generator.integers(0, 3, 40)[group]  # a source's videos are of one class
        own = generator.normal(size=(40, 3))[group]  # and are mistaken alike
        scores = own + 0.5 * generator.normal(size=(120, 3)) + np.eye(3)[labels]
        table = replace(table, labels=labels, scores=scores.astype(np.float32))
        value = precision_of_classes(table).mean
        assert value is not None
        found.append(mean_average_precision(table, value, group, 40, 200))
    truth = np.mean([each.value for each in found])
    held = np.mean([each.low <= truth <= each.high for each in found])  # type: ignore[operator]
    assert 0.88 <= held <= 0.99
    assert all(each.low < each.value < each.high for each in found)  # type: ignore[operator]
