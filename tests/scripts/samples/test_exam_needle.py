"""Needle: outside the needle all four classes are one video, so a snapshot's ceiling is exact."""

from __future__ import annotations

import numpy as np
import pytest
from exam_material import (
    Floats,
    best,
    examine,
    flow_at,
    listed,
    picture_view,
    snapshot_forest,
    snapshots,
    watermarked,
)

from scripts.samples.needle import DIAGONALS, LONG, Needle
from scripts.samples.question import Clip, Listed

LENGTH = 5
SMALL = {"pairs": 28, "margin": 4, "run": 4}


@pytest.fixture(scope="module")
def clips() -> list[Listed]:
    return listed(Needle(), train=8, test=6, **SMALL)


def test_the_ceiling_counts_the_snapshots_that_overlap_the_needle() -> None:
    for question in (Needle(), LONG, Needle(**SMALL)):
        for length in range(1, question.margin + 2):
            for start in (question.margin, question.pairs - question.needle - question.margin):
                places = range(question.pairs - length + 1)
                overlap = sum(t < start + question.needle and start < t + length for t in places)
                share = overlap / len(places)
                expected = share + (1 - share) / 4
                assert question.snapshot_ceiling(length) == pytest.approx(expected)
    assert Needle().snapshot_ceiling(5) == pytest.approx(0.368, abs=5e-4)


def test_the_four_differ_in_nothing_but_the_needle(clips: list[Listed]) -> None:
    for first in range(0, len(clips), 4):
        family = [one.clip for one in clips[first : first + 4]]
        start, stop = family[0].truth["needle"]
        assert all(clip.truth["needle"] == [start, stop] for clip in family)
        for clip in family[1:]:
            same = [
                np.array_equal(a, b) for a, b in zip(clip.frames, family[0].frames, strict=True)
            ]
            assert all(same[: start + 1])
            assert all(same[stop:])
            assert not any(same[start + 1 : start + 4])


def test_the_needle_goes_where_its_class_says_and_the_rest_along_an_axis(
    clips: list[Listed],
) -> None:
    for one in clips[:8]:
        start, stop = one.clip.truth["needle"]
        flow = np.stack([flow_at(one.clip, t)[0] for t in range(28)])
        moved = np.abs(flow).max(1) > 1
        way = [
            np.array([pair[axis][there].mean() for axis in (0, 1)]) / 2
            for pair, there in zip(flow, moved, strict=True)
        ]
        x, y = list(DIAGONALS.values())[one.clip.label]
        for t, (along_x, along_y) in enumerate(way):
            if start <= t < stop:
                assert (along_x * x, along_y * y) == pytest.approx((1, 1), abs=0.35)
            else:
                assert sorted(np.abs([along_x, along_y])) == pytest.approx([0, 1], abs=0.35)


def snapshot_answers(clips: list[Listed]) -> tuple[Floats, Floats]:
    """Share right of each place of each test video, and whether it overlaps the needle."""
    places = range(len(clips[0].clip.frames) - LENGTH)
    scores, labels = snapshot_forest(clips, [snapshots(o.clip, LENGTH, places) for o in clips])
    right = scores.argmax(2) == labels[:, None]
    needles = [one.clip.truth["needle"] for one in clips if one.part == "test"]
    on = [[t < stop and start < t + LENGTH for t in places] for start, stop in needles]
    return right, np.array(on)


@pytest.mark.slow
def test_a_snapshot_reaches_its_ceiling_and_no_more_and_the_control_passes_it(
    clips: list[Listed],
) -> None:
    """The leak: a needle twice as long as is said."""
    ceiling = Needle(**SMALL).snapshot_ceiling(LENGTH)
    right, on = snapshot_answers(clips)
    assert right[~on].mean() == 0.25
    assert right.mean() <= ceiling
    assert right.mean() > ceiling - 0.1
    leaky = listed(Needle(), train=5, test=5, pairs=28, margin=4, run=4, needle=16, step=1)
    assert snapshot_answers(leaky)[0].mean() > ceiling + 0.05


@pytest.mark.slow
def test_no_picture_tells_and_the_control_does(clips: list[Listed]) -> None:
    def in_the_needle(clip: Clip) -> Floats:
        return picture_view(clip.frames[clip.truth["needle"][0] + 3])

    assert best(examine(clips, in_the_needle)).low <= 0.25
    assert best(examine(watermarked(clips), in_the_needle)).low > 0.25


def test_a_video_too_short_for_its_needle_is_refused() -> None:
    with pytest.raises(ValueError, match="needle: --pairs is 20; it must be 28"):
        Needle(pairs=20)
