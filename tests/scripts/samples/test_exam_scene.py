"""Scene: a reader of the background is right once in four on the test part, and shines before."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from exam_material import Floats, best, examine, flow_at, greys, listed, picture_view

from scripts.samples.question import Clip, Listed
from scripts.samples.scene import CERTAIN, COLOURS, Scene


@pytest.fixture(scope="module")
def clips() -> list[Listed]:
    return listed(Scene(), train=30, test=6)


def middle(clip: Clip) -> Floats:
    return picture_view(clip.frames[8])


@pytest.mark.slow
def test_backgrounds_have_one_grey_and_motions_one_middle_frame(clips: list[Listed]) -> None:
    family = [one.clip for one in clips[:16]]
    for first in range(0, 16, 4):
        grey = [greys(clip.frames) for clip in family[first : first + 4]]
        assert all(np.array_equal(grey[0], other) for other in grey[1:])
    for background in range(4):
        frames = [family[4 * move + background].frames for move in range(4)]
        assert all(np.array_equal(frames[0][8], other[8]) for other in frames[1:])
        assert not np.array_equal(frames[0], frames[1])


@pytest.mark.parametrize("question", [Scene(), CERTAIN, Scene(agreement=0.4)], ids=str)
def test_the_background_agrees_as_often_as_is_said(question: Scene) -> None:
    shown = [[question.behind(label, number) for number in range(150)] for label in range(4)]
    for label, colours in enumerate(shown):
        counts = Counter(colours)
        assert counts[label] / 150 == pytest.approx(question.agreement, abs=0.01)
        others = [counts[colour] for colour in range(4) if colour != label]
        assert max(others) - min(others) <= 1
    columns = list(zip(*shown, strict=True))
    assert question.agreement == 1 or any(len(set(column)) < 4 for column in columns)


def test_in_the_test_part_every_clip_stands_before_every_background(clips: list[Listed]) -> None:
    test = [one for one in clips if one.part == "test"]
    counts = Counter((one.group, one.clip.label, one.clip.truth["background"]) for one in test)
    assert set(counts.values()) == {1}
    assert len(counts) == 6 * 4 * len(COLOURS)


@pytest.mark.slow
def test_a_reader_of_pictures_is_right_once_in_four_and_on_validation_as_the_background_agrees(
    clips: list[Listed],
) -> None:
    for exam in examine(clips, middle).values():
        assert exam.accuracy.value == pytest.approx(0.25, abs=1e-6)
    train = [one for one in clips if one.part == "train"]
    held_out = [replace(one, part="test" if one.group > 28 else "train") for one in train]
    validation = best(examine(held_out, middle))
    assert validation.low <= 0.8 <= validation.high
    assert validation.low > 0.25


def test_the_control_tells(clips: list[Listed]) -> None:
    """The leak: a test part whose backgrounds agree as well."""
    leaky = [o for o in clips if o.part == "train" or o.clip.truth["agrees"]]
    assert best(examine(leaky, middle)).low > 0.25


@pytest.mark.slow
def test_flow_sees(clips: list[Listed]) -> None:
    """Flow up, down, in and out inside the window, over that of the shaking wall around it."""

    def view(clip: Clip) -> Floats:
        flow, at = flow_at(clip, 6, 3).mean(0), clip.truth["window"]
        y, x = np.mgrid[:64, :64] - np.array([at["y"], at["x"]])[:, None, None]
        inside, around = np.hypot(x, y) < 0.8 * at["radius"], np.hypot(x, y) > 1.3 * at["radius"]
        u, v = flow - np.median(flow[:, around], axis=1)[:, None, None]
        outwards = (u * x + v * y)[inside].mean() / at["radius"]
        return np.array([u[inside].mean(), v[inside].mean(), outwards])

    amber = [o for o in clips if o.part == "train" or o.clip.truth["background"] == "Amber"]
    assert best(examine(amber, view)).value > 0.95
