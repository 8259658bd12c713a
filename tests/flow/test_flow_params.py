"""Parameters: presets as published, mistakes refused, fingerprints that tell them apart."""

from __future__ import annotations

import dataclasses

import pytest

from flow.tvl1.params import TVL1
from storage.errors import UserError


def test_the_presets_are_opencvs_defaults() -> None:
    import cv2

    method = cv2.optflow.DualTVL1OpticalFlow_create()
    params = TVL1.preset("opencv-cpu")
    assert params.tau == method.getTau()
    assert params.lambda_ == method.getLambda()
    assert params.theta == method.getTheta()
    assert params.scales == method.getScalesNumber()
    assert params.scale_step == method.getScaleStep()
    assert params.warps == method.getWarpingsNumber()
    assert params.epsilon == method.getEpsilon()
    assert params.outer == method.getOuterIterations()
    assert params.inner == method.getInnerIterations()
    assert params.median == method.getMedianFiltering()
    assert TVL1() == TVL1.preset("opencv-cuda")
    assert (TVL1().inner, TVL1().outer, TVL1().median) == (300, 1, 0)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"tau": float("nan")}, "tau"),
        ({"lambda_": float("inf")}, "lambda_"),
        ({"theta": 0.0}, "theta"),
        ({"theta": "0.3"}, "theta"),
        ({"scales": 0}, "scales"),
        ({"scales": 2.5}, "scales"),
        ({"scale_step": 1.0}, "scale_step"),
        ({"warps": 0}, "warps"),
        ({"warps": True}, "warps"),
        ({"epsilon": -0.01}, "epsilon"),
        ({"outer": 0}, "outer"),
        ({"inner": 0}, "inner"),
        ({"median": 3}, "median"),
        ({"dialect": "opencv"}, "opencv-cuda, opencv-cpu"),
    ],
    ids=str,
)
def test_a_mistake_is_named(changes: dict[str, object], word: str) -> None:
    with pytest.raises(UserError, match=word):
        TVL1(**changes)  # type: ignore[arg-type]


def test_no_such_preset() -> None:
    with pytest.raises(UserError, match="choose one of opencv-cuda, opencv-cpu"):
        TVL1.preset("brox")


def test_the_fingerprint_tells_every_parameter() -> None:
    other = {
        "tau": 0.2, "lambda_": 0.1, "theta": 0.2, "scales": 4, "scale_step": 0.7, "warps": 4,
        "epsilon": 0.02, "outer": 2, "inner": 299, "median": 5, "dialect": "opencv-cpu",
    }  # fmt: skip
    assert set(other) == {field.name for field in dataclasses.fields(TVL1)}
    prints = {TVL1(**{name: value}).fingerprint for name, value in other.items()}  # type: ignore[arg-type]
    assert len(prints | {TVL1().fingerprint}) == len(other) + 1
    assert TVL1().fingerprint == TVL1(tau=0.25).fingerprint == "a4d528b7eaee424a"


def test_level_sizes_round_half_to_even_and_stop_at_16() -> None:
    assert TVL1().level_sizes(240, 320) == [
        (240, 320),
        (192, 256),
        (154, 205),
        (123, 164),
        (98, 131),
    ]
    assert TVL1(scale_step=0.5).level_sizes(50, 65) == [(50, 65), (25, 32)]
    assert TVL1().level_sizes(16, 400) == [(16, 400)]
