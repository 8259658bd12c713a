"""What and how: flow is one in four colours, a frame is one in four motions."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from exam_material import Floats, best, examine, flow_at, greys, listed, picture_view, watermarked

from scripts.samples.question import Clip, Listed
from scripts.samples.what_and_how import LOOKS, MOVES, WhatAndHow


@pytest.fixture(scope="module")
def clips() -> list[Listed]:
    return listed(WhatAndHow(), train=20, test=8)


def middle(clip: Clip) -> Floats:
    return picture_view(clip.frames[6])


def motion(clip: Clip) -> Floats:
    """Up, down, in and out: mean flow, and flow away from the middle of the picture's motion."""
    flow = flow_at(clip, 5, 2).mean(0)
    weight = np.hypot(*flow)
    y, x = np.mgrid[:64, :64]
    x, y = (axis - (axis * weight).sum() / weight.sum() for axis in (x, y))
    return np.array([flow[0].mean(), flow[1].mean(), (flow[0] * x + flow[1] * y).mean()])


@pytest.mark.slow
def test_colours_have_one_grey_motions_one_middle_frame_and_partners_are_reversed(
    clips: list[Listed],
) -> None:
    family = [one.clip for one in clips[:16]]
    by_move, by_look = defaultdict(list), defaultdict(list)
    for clip in family:
        by_move[clip.truth["move"]].append(greys(clip.frames))
        by_look[clip.truth["look"]].append(clip.frames)
    assert len(by_move) == len(MOVES)
    assert len(by_look) == len(LOOKS)
    for grey in by_move.values():
        assert all(np.array_equal(grey[0], other) for other in grey[1:])
    for up, down, nearer, farther in by_look.values():
        assert np.array_equal(up, down[::-1])
        assert np.array_equal(nearer, farther[::-1])
        assert np.array_equal(up[6], nearer[6])
        assert not np.array_equal(up, nearer)
    assert {clip.label for clip in family} == set(range(16))


def test_a_middle_frame_is_right_once_in_four(clips: list[Listed]) -> None:
    for exam in examine(clips, middle, ("forest",)).values():
        assert exam.accuracy.value <= 0.25 + 1e-9


@pytest.mark.slow
def test_flow_is_right_once_in_four(clips: list[Listed]) -> None:
    for exam in examine(clips, motion).values():
        assert exam.accuracy.value <= 0.25 + 1e-9


def test_the_control_tells(clips: list[Listed]) -> None:
    """A mark in the corner that only some classes have is seen."""
    marked = watermarked([one for one in clips if one.clip.label < 4])
    assert best(examine(marked, middle, ("forest",))).low > 0.25
