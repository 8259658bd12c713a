"""Variety: sums are blind to it, to the byte; maxima of features are not."""

from __future__ import annotations

import numpy as np
import pytest
from exam_material import (
    Floats,
    answers,
    best,
    examine,
    listed,
    pairs_of,
    picture_view,
    snapshot_forest,
    snapshots,
    watermarked,
)

from scripts.samples.judging import figure, forced_choice
from scripts.samples.question import Clip, Listed
from scripts.samples.variety import Variety
from streams.samples.sampling import testing_moments as middles

LENGTH = 5


@pytest.fixture(scope="module")
def clips() -> list[Listed]:
    return listed(Variety(), train=14, test=16)


def stacks_of(clips: list[Listed], length: int, count: int) -> list[Floats]:
    starts = len(clips[0].clip.frames) - length
    return [snapshots(one.clip, length, middles(starts, count)) for one in clips]


def test_what_a_mixture_shows_at_a_moment_one_of_the_pure_ones_shows(clips: list[Listed]) -> None:
    """Stacks of 5 pairs, at every moment: the two mixtures together are the two pure videos."""
    for first in range(0, 16, 4):
        up, mixed, down, other = (one.clip.frames for one in clips[first : first + 4])
        for t in range(len(up) - LENGTH):
            pure = sorted(frames[t : t + LENGTH + 1].tobytes() for frames in (up, down))
            both = sorted(frames[t : t + LENGTH + 1].tobytes() for frames in (mixed, other))
            assert pure == both


def test_every_moment_has_half_of_the_pieces(clips: list[Listed]) -> None:
    for one in clips:
        ups = one.clip.truth["pieces"].count("up")
        assert ups in ((0, 8) if one.clip.label else (4,))
        assert len(one.clip.frames) == 97


@pytest.mark.slow
def test_sums_are_right_in_half_of_the_choices_and_the_control_in_more(
    clips: list[Listed],
) -> None:
    """The leak: stacks of 10 pairs, which reach from one motion into the next."""
    pairs = pairs_of(clips, np.array([one.part == "test" for one in clips]))
    scores, labels = snapshot_forest(clips, stacks_of(clips, LENGTH, 8))
    total = scores.sum(1)
    assert forced_choice(total, labels, pairs).mean() == 0.5
    for pooled in (total, scores.max(1)):
        right = ((pooled[:, 1] > pooled[:, 0]) == (labels == 1)).reshape(-1, 4)
        assert right.sum(1).max() <= 3
    leaky, _ = snapshot_forest(clips, stacks_of(clips, 10, 29))
    assert figure(forced_choice(leaky.sum(1), labels, pairs), 0.9998).low > 0.5


@pytest.mark.slow
def test_a_linear_reading_of_means_is_blind_and_maxima_of_features_see(
    clips: list[Listed],
) -> None:
    seen = np.stack(stacks_of(clips, LENGTH, 8))
    labels = np.array([one.clip.label for one in clips])
    train = np.array([one.part == "train" for one in clips])
    pairs = pairs_of(clips, ~train)
    linear = answers("linear", seen.mean(1), labels, train, pairs)
    # A pair of twins that is right has its counterpart wrong, but for rounding.
    assert linear.choice.value == pytest.approx(0.5, abs=0.04)
    assert linear.accuracy.value <= 0.75
    maxima = np.hstack([np.maximum(seen, 0).max(1), np.maximum(-seen, 0).max(1)])
    assert answers("forest", maxima, labels, train, pairs).choice.value == 1.0


@pytest.mark.slow
def test_no_picture_tells_and_the_control_does(clips: list[Listed]) -> None:
    def view(clip: Clip) -> Floats:
        return picture_view(clip.frames[6])

    for exam in examine(clips, view).values():
        assert exam.choice.value == 0.5
    assert best(examine(watermarked(clips), view)).low > 0.5
