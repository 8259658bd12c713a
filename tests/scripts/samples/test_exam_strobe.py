"""Strobe: every fifth frame is one picture; the neighbours are not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from exam_material import (
    Floats,
    best,
    examine,
    flow_at,
    flow_view,
    listed,
    picture_view,
    watermarked,
)

from scripts.samples.question import Clip, Listed
from scripts.samples.strobe import Strobe


@pytest.fixture(scope="module")
def clips() -> list[Listed]:
    return listed(Strobe(), train=8, test=8)


def test_every_fifth_frame_is_the_same_and_no_other(clips: list[Listed]) -> None:
    for one in clips[:10]:
        frames = [frame.tobytes() for frame in one.clip.frames]
        assert all(frames[t] == frames[t + 5] for t in range(len(frames) - 5))
        assert len(set(frames)) == 5


def test_at_every_moment_both_classes_show_the_same_pictures(clips: list[Listed]) -> None:
    for first in range(0, len(clips), 10):
        family = [one.clip for one in clips[first : first + 10]]
        for t in range(31):
            shown = [
                Counter(clip.frames[t].tobytes() for clip in family if clip.label == label)
                for label in (0, 1)
            ]
            assert shown[0] == shown[1]


def test_twins_are_each_other_played_backwards(clips: list[Listed]) -> None:
    for first in range(0, len(clips), 2):
        down, up = clips[first].clip, clips[first + 1].clip
        assert np.array_equal(down.frames, up.frames[::-1])
        assert (down.label, up.label, down.twin) == (0, 1, up.twin)


def apart(clip: Clip, moments: tuple[int, ...]) -> Floats:
    """Frames far from each other: each by itself, and the flow from one to the next."""
    few = Clip(clip.label, clip.frames[list(moments)])
    flow = flow_view(flow_at(few, 0, len(moments) - 1))
    return np.concatenate([flow, *(picture_view(frame) for frame in few.frames)])


@pytest.mark.slow
@pytest.mark.parametrize("moments", [(2, 7, 12), (0, 15)])
def test_frames_five_or_fifteen_apart_are_right_exactly_half_the_time(
    clips: list[Listed], moments: tuple[int, ...]
) -> None:
    for exam in examine(clips, lambda clip: apart(clip, moments)).values():
        assert exam.accuracy.value == 0.5


@pytest.mark.slow
def test_the_controls_tell(clips: list[Listed]) -> None:
    """The leaks: a picture that comes again after seven frames, and a mark for each class."""
    leaky = listed(Strobe(), train=8, test=8, every=7, step=10 / 7)
    assert best(examine(leaky, lambda clip: apart(clip, (2, 7, 12)))).low > 0.5
    assert best(examine(watermarked(clips), lambda clip: picture_view(clip.frames[0]))).low > 0.5


@pytest.mark.slow
def test_flow_sees(clips: list[Listed]) -> None:
    assert best(examine(clips, lambda clip: flow_view(flow_at(clip, 3)))).value == 1.0
    for one in clips[:4]:
        flow = flow_at(one.clip, 0)[0]
        moved = np.abs(flow[1]) > 1
        assert flow[1][moved].mean() == pytest.approx(2 if one.clip.label == 0 else -2, abs=0.3)


def test_a_period_that_is_no_whole_number_of_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"strobe: --step is 2\.5; it must be a period of 8"):
        Strobe(step=2.5)
