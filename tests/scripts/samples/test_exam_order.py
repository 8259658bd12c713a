"""Order: no bag of clips up to a known span can tell, and what is told in order can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from exam_material import (
    answers,
    examine,
    greys,
    listed,
    pairs_of,
    picture_view,
    snapshot_forest,
    snapshots,
)

from flow.tvl1.compute import compute_flow
from scripts.samples.judging import Figure, figure, forced_choice
from scripts.samples.order import LADDER, Order
from scripts.samples.question import Listed
from streams.samples.sampling import testing_moments as middles

SMALL = {"rest": 5, "motion": 8, "period": 16}
LENGTH = 5


@pytest.fixture(scope="module")
def clips() -> list[Listed]:
    return listed(Order(), train=14, test=16, **SMALL)


def bag(frames: np.ndarray, span: int, starts: Iterable[int]) -> Counter[tuple[int, ...]]:
    numbers = [hash(frame.tobytes()) for frame in frames]
    return Counter(tuple(numbers[t : t + span]) for t in starts)


def twins(question: Order) -> tuple[np.ndarray, np.ndarray]:
    first, second = question.family(np.random.default_rng(3), 0, "test")
    return first.frames, second.frames


@pytest.mark.parametrize("question", [Order(), *LADDER, Order(jitter=6)], ids=lambda q: q.name)
def test_clips_up_to_the_hidden_span_are_the_same_bag_and_longer_ones_are_not(
    question: Order,
) -> None:
    both = twins(question)
    total, span = question.pairs + 1, question.hidden_span
    assert all(len(frames) == total for frames in both)
    for size in (1, 2, span // 2, span):
        seen = [bag(frames, size, range(total - size + 1)) for frames in both]
        assert seen[0] == seen[1]
    if not question.jitter:
        longer = [bag(frames, span + 1, range(total - span)) for frames in both]
        assert longer[0] != longer[1]


@pytest.mark.parametrize("question", [Order(), *LADDER], ids=lambda q: q.name)
def test_aligned_snapshots_are_the_same_bag(question: Order) -> None:
    both = twins(question)
    for length in (4, 5, 10, 16):
        if length > question.hidden_span - 1:
            continue
        starts = question.pairs - length + 1
        for count in range(2, 101):
            seen = [bag(frames, length + 1, middles(starts, count)) for frames in both]
            if count in question.aligned(length):
                assert seen[0] == seen[1], (length, count)
    assert 25 in Order().aligned(10)


def test_a_rest_has_no_flow_and_twins_have_the_same_bag_of_flow(clips: list[Listed]) -> None:
    first, second = clips[0].clip, clips[1].clip
    flows = [compute_flow(greys(clip.frames)) for clip in (first, second)]
    for flow, clip in zip(flows, (first, second), strict=True):
        moving = np.zeros(len(flow), bool)
        for move in clip.truth["moves"]:
            begin, end = move["pairs"]
            moving[begin:end] = True
            assert (flow[begin:end, 1].mean() < -0.2) == (move["way"] == "up")
            assert (flow[begin:end, 1].mean() > 0.2) == (move["way"] == "down")
        assert not flow[~moving].any()
    assert Counter(pair.tobytes() for pair in flows[0]) == Counter(p.tobytes() for p in flows[1])


def bag_choice(clips: list[Listed], count: int = 16) -> tuple[Figure, Figure]:
    """Forced choice of a strong snapshot classifier's average, and of its maximum."""
    starts = len(clips[0].clip.frames) - LENGTH
    stacks = [snapshots(one.clip, LENGTH, middles(starts, count)) for one in clips]
    scores, labels = snapshot_forest(clips, stacks)
    pairs = pairs_of(clips, np.array([one.part == "test" for one in clips]))
    average, greatest = (
        figure(forced_choice(pooled, labels, pairs), 0.9998)
        for pooled in (scores.mean(1), scores.max(1))
    )
    return average, greatest


@pytest.mark.slow
def test_averages_and_maxima_tie_and_the_control_does_not(clips: list[Listed]) -> None:
    """The leak: a rest that is shorter than a stack."""
    assert [found.value for found in bag_choice(clips)] == [0.5, 0.5]
    leaky = listed(Order(), train=14, test=16, rest=1, motion=8, period=16)
    assert bag_choice(leaky)[0].low > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("model", ["linear", "forest"])
def test_pooled_features_tie_and_features_in_order_tell(clips: list[Listed], model: str) -> None:
    moments = middles(len(clips[0].clip.frames) - LENGTH, 16)
    seen = np.stack([snapshots(one.clip, LENGTH, moments) for one in clips])
    labels = np.array([one.clip.label for one in clips])
    train = np.array([one.part == "train" for one in clips])
    pairs = pairs_of(clips, ~train)
    ranks = np.sort(seen, axis=1)[:, ::3].reshape(len(seen), -1)
    pooled = np.hstack([seen.mean(1), seen.max(1), seen.min(1), ranks])
    pooled = pooled.round(5)  # sums of the same numbers in another order
    assert answers(model, pooled, labels, train, pairs).choice.value == 0.5
    in_order = seen.reshape(len(seen), -1)
    assert answers(model, in_order, labels, train, pairs).choice.value == 1.0


def test_no_single_frame_tells(clips: list[Listed]) -> None:
    for moment in (8, 18):
        for exam in examine(clips, lambda clip, t=moment: picture_view(clip.frames[t])).values():
            assert exam.choice.low <= 0.5


def test_a_jitter_longer_than_the_rest_is_refused() -> None:
    with pytest.raises(ValueError, match="order: --jitter is 12; it must be 0 to the rest"):
        Order(jitter=12)
