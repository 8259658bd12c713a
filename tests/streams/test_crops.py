"""Crops as integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import UserError
from streams.samples.crops import Box, Crop, centre_box, five_boxes, place, scale_pair, training_box


def test_the_ten_crops_of_a_standard_picture() -> None:
    assert five_boxes(256, 340, 0.875) == [
        Box(0, 0, 224, 224),
        Box(0, 116, 224, 224),
        Box(32, 0, 224, 224),
        Box(32, 116, 224, 224),
        Box(16, 58, 224, 224),
    ]
    assert centre_box(256, 340, 0.875) == Box(16, 58, 224, 224)


def test_corner_crops_are_those_of_tsn() -> None:
    """At 340x256 the sides are 256, 224, 192 and 168, as in TSN's code."""
    crop = Crop(scales=(1, 0.875, 0.75, 0.65625))
    rng = np.random.default_rng(0)
    boxes = {training_box(256, 340, crop, rng) for _ in range(5000)}
    sides = [256, 224, 192, 168]
    pairs = {(a, b) for i, a in enumerate(sides) for j, b in enumerate(sides) if abs(i - j) <= 1}
    assert {(box.height, box.width) for box in boxes} == pairs
    expected = {place(256, 340, h, w, where) for h, w in pairs for where in range(5)}
    assert boxes == expected


@pytest.mark.parametrize(
    ("pairs", "shares"), [("even", (0.1, 0.1)), ("neighbour", (0.125, 1 / 12))]
)
def test_how_often_a_pair_of_scales_is_drawn(pairs: str, shares: tuple[float, float]) -> None:
    """Four scales have ten pairs; TSN draws each alike. As older runs drew them, (1, 1) and
    (1, .875) come more often than (.875, .875)."""
    crop = Crop(pairs=pairs)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    drawn = [scale_pair(crop, rng) for _ in range(20_000)]
    assert drawn.count((0, 1)) / len(drawn) == pytest.approx(shares[0], abs=0.01)
    assert drawn.count((1, 1)) / len(drawn) == pytest.approx(shares[1], abs=0.01)


def test_older_runs_draw_the_crops_that_they_drew() -> None:
    rng = np.random.default_rng(7)
    found = [training_box(256, 340, Crop(), rng) for _ in range(4)]
    assert found == [
        (87, 171, 169, 169),
        (87, 171, 169, 169),
        (0, 0, 169, 192),
        (16, 42, 224, 256),
    ]


@given(
    st.integers(8, 400),
    st.integers(8, 400),
    st.sampled_from(["corners", "random", "area", "centre"]),
    st.integers(0, 10**6),
)
def test_every_box_lies_in_the_picture(height: int, width: int, rule: str, seed: int) -> None:
    crop = Crop(crops=rule)  # type: ignore[arg-type]
    box = training_box(height, width, crop, np.random.default_rng(seed))
    assert box.height >= 1
    assert box.width >= 1
    assert 0 <= box.top <= height - box.height
    assert 0 <= box.left <= width - box.width


def test_random_crops_reach_every_place() -> None:
    crop = Crop(crops="random", test_share=0.5)
    rng = np.random.default_rng(0)
    tops = {training_box(8, 10, crop, rng)[:2] for _ in range(2000)}
    assert tops == {(top, left) for top in range(5) for left in range(7)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": 4}, "--size 4"),
        ({"test_share": 0.0}, "must lie in"),
        ({"scales": (1.5,)}, "must lie in"),
        ({"scales": ()}, "at least one"),
    ],
)
def test_wrong_crops(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Crop(**arguments)  # type: ignore[arg-type]
