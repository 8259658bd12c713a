from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_scores import made_up
from scipy.special import softmax
from sklearn import metrics as truth

from fusion.judge.calibration import calibration
from fusion.judge.metrics import confusion, judge, log_loss, per_class


@pytest.mark.parametrize("elements", [90, 1 << 20])
def test_figures_are_those_of_scikit_learn(elements: int) -> None:
    table = made_up(classes=12, videos=200, skill=1.0)
    judged = judge(table, elements)
    predicted = table.scores.argmax(1)
    labels = range(12)
    assert (judged.rank < 1).mean() == truth.accuracy_score(table.labels, predicted)
    for k in (5, 10):
        expected = truth.top_k_accuracy_score(table.labels, table.scores, k=k, labels=labels)
        assert (judged.rank < k).mean() == expected
    by_class = per_class(judged, table.labels, 12)
    expected = truth.precision_recall_fscore_support(
        table.labels, predicted, labels=labels, zero_division=np.nan
    )
    np.testing.assert_allclose(by_class.precision, expected[0])
    np.testing.assert_allclose(by_class.recall, expected[1])
    np.testing.assert_array_equal(by_class.videos, expected[3])
    assert by_class.mean_accuracy == pytest.approx(
        truth.balanced_accuracy_score(table.labels, predicted)
    )
    np.testing.assert_array_equal(
        confusion(judged, table.labels, 12), truth.confusion_matrix(table.labels, predicted)
    )
    p = softmax(table.scores.astype(float), axis=1)
    assert log_loss(judged) == pytest.approx(truth.log_loss(table.labels, p), rel=1e-5)


def test_of_equal_scores_the_first_class_is_predicted_and_ties_are_counted() -> None:
    table = replace(made_up(videos=10, classes=5), scores=np.zeros((10, 5), np.float32))
    judged = judge(table)
    assert judged.predicted.tolist() == [0] * 10
    assert judged.rank.tolist() == [0, 1, 2, 3, 4] * 2
    assert (judged.rank < 1).mean() == np.mean(judged.predicted == table.labels) == 0.2
    assert judged.tied == 10


def test_a_class_without_videos_is_left_out_of_the_mean_and_not_counted_as_wrong() -> None:
    table = made_up(classes=5, videos=60)
    table = table.rows(np.flatnonzero(table.labels != 3))
    judged = judge(table)
    by_class = per_class(judged, table.labels, 5)
    assert np.isnan(by_class.recall[3])
    present = [np.mean(judged.predicted[table.labels == c] == c) for c in (0, 1, 2, 4)]
    assert by_class.mean_accuracy == pytest.approx(np.mean(present))


def test_a_single_video_of_a_single_class() -> None:
    judged = judge(made_up(classes=1, videos=1, groups=1))
    assert ((judged.rank < 1).mean(), log_loss(judged), judged.tied) == (1.0, 0.0, 0)


def test_a_certain_and_wrong_video_has_a_finite_log_loss() -> None:
    scores = np.array([[1, 0]], np.float32)
    table = made_up(classes=2, videos=1, groups=1, labels=np.array([1]), scores=scores)
    assert 20 < log_loss(judge(replace(table, kind="probabilities"))) < 30


def test_calibration_of_honest_and_of_boasting_confidence() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.05, 1, 200_000)
    honest = calibration(confidence, generator.random(200_000) < confidence)
    assert honest.expected_error < 0.006
    assert honest.videos.sum() == 200_000
    boasting = calibration(confidence, generator.random(200_000) < confidence / 2)
    assert boasting.overconfidence == pytest.approx(confidence.mean() / 2, abs=0.005)
    assert boasting.expected_error == pytest.approx(boasting.overconfidence)


def test_calibration_by_hand() -> None:
    bins = calibration(np.array([0.5, 0.55, 1.0]), np.array([True, False, True]), bins=10)
    np.testing.assert_allclose(bins.confidence, [0.525, 1.0])
    np.testing.assert_allclose(bins.accuracy, [0.5, 1.0])
    assert bins.expected_error == pytest.approx(2 / 3 * 0.025)
