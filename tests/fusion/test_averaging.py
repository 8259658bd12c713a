from __future__ import annotations

import numpy as np
import pytest
from made_up_scores import made_up
from scipy.special import softmax

from fusion.judge.normalisation import NORMALISATIONS, normalise
from fusion.scores.averaging import average
from storage import ScoreTable, UserError


def probabilities_of(table: ScoreTable) -> ScoreTable:
    from dataclasses import replace

    return replace(table, scores=softmax(table.scores, axis=1), kind="probabilities")


def test_normalisations_do_what_they_say() -> None:
    table = made_up(skill=8)
    z = table.scores.astype(float)
    p = softmax(z, axis=1)
    positive = np.maximum(z, 0)
    expected = {
        "logits": z,
        "softmax": p,
        "l1": positive / positive.sum(1, keepdims=True),
        "l2": p / np.sqrt((p**2).sum(1, keepdims=True)),
        "unit": z / np.sqrt((z**2).sum(1, keepdims=True)),
        "zscore": (z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True),
    }
    assert set(expected) == set(NORMALISATIONS)
    for how, values in expected.items():
        np.testing.assert_allclose(normalise(table, how), values, rtol=1e-12)


def test_probabilities_are_not_put_through_softmax_again() -> None:
    table = made_up()
    p = probabilities_of(table)
    for how in ("softmax", "l2"):
        np.testing.assert_allclose(normalise(p, how), normalise(table, how), atol=1e-6)
    # The logarithm of a probability is a logit up to a constant for the video.
    gap = normalise(p, "logits") - normalise(table, "logits")
    assert np.ptp(gap, axis=1).max() < 1e-4


@pytest.mark.parametrize("how", NORMALISATIONS)
def test_equal_and_hopeless_scores_stay_finite(how: str) -> None:
    flat = made_up(scores=np.full((60, 5), -3.0))
    values = normalise(flat, how)
    assert np.isfinite(values).all()
    assert np.ptp(values) == 0
    huge = made_up(scores=np.where(np.arange(5) == 2, 3e38, -3e38) * np.ones((60, 1)))
    assert np.isfinite(normalise(huge, how)).all()


def test_the_average_of_three_streams() -> None:
    tables = [made_up(s) for s in ("spatial", "temporal", "audio")]
    fused = average(tables, (1, 2, 0.5), "softmax")
    p = [softmax(t.scores.astype(float), axis=1) for t in tables]
    np.testing.assert_allclose(fused.scores, (p[0] + 2 * p[1] + 0.5 * p[2]) / 3.5, rtol=1e-6)
    assert (fused.kind, fused.stream) == ("probabilities", "average 1:2:0.5 (softmax)")
    assert fused.provenance["fusion"] == {
        "streams": ["spatial", "temporal", "audio"],
        "method": "average",
        "normalise": "softmax",
        "weights": [1.0, 2.0, 0.5],
    }
    assert fused.groups == tables[0].groups
    kinds = {how: average(tables, None, how).kind for how in NORMALISATIONS}
    assert kinds == {
        "logits": "logits",
        "softmax": "probabilities",
        "l1": "probabilities",
        "l2": "scores",
        "unit": "scores",
        "zscore": "scores",
    }


def test_scores_of_neither_kind_are_not_taken_for_probabilities() -> None:
    other = average([made_up("spatial"), made_up("temporal")], None, "zscore")
    for how in ("softmax", "l2"):
        with pytest.raises(UserError, match="needs logits or probabilities"):
            normalise(other, how)
    np.testing.assert_allclose(normalise(other, "logits"), other.scores)


def test_streams_of_one_name_are_told_apart() -> None:
    tables = [made_up("rgb", seed=k, provenance={"run": f"runs/{k}"}) for k in (1, 2)]
    made = average(tables).provenance
    assert made["fusion"]["streams"] == ["rgb", "rgb (2)"]
    assert made["sources"] == {"rgb": {"run": "runs/1"}, "rgb (2)": {"run": "runs/2"}}


def test_a_fused_table_can_be_fused_again_and_keeps_how_its_streams_were_made() -> None:
    one = average([made_up("spatial", provenance={"run": "runs/a"}), made_up("temporal")])
    two = average([one, made_up("audio")], (2, 1))
    assert two.provenance["sources"][one.stream]["sources"]["spatial"] == {"run": "runs/a"}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1,), "1 weights for 2 tables"),
        ((1, -1), "not negative"),
        ((0, 0), "not all 0"),
        ((1, float("nan")), "finite"),
    ],
)
def test_wrong_weights_are_refused(weights: tuple[float, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        average([made_up("spatial"), made_up("temporal")], weights)


def test_an_unknown_normalisation_is_named() -> None:
    with pytest.raises(UserError, match="'max' is not one of logits, softmax"):
        average([made_up()], normalise="max")
