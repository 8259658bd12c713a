"""Sampling by exact indices, and the sample stream as a function of the position alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import UserError
from streams.samples.sampling import (
    Draw,
    SampleStream,
    Sampling,
    StepBatches,
    random_numbers,
    testing_dense,
    testing_moments,
    training_moments,
)

# pytest would take the functions for tests
testing_dense.__test__ = testing_moments.__test__ = False  # type: ignore[attr-defined]


class Fixed(np.random.Generator):
    """Always draws the same part of each range."""

    def __init__(self, part: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.part = part

    def random(self, size: int) -> np.ndarray:  # type: ignore[override]
        return np.full(size, self.part)

    def integers(self, high: int) -> int:  # type: ignore[override]
        return int(self.part * high)


@pytest.mark.parametrize(
    ("moments", "count", "indices"),
    [
        (25, 25, list(range(25))),
        (100, 4, [12, 37, 62, 87]),
        (10, 3, [1, 5, 8]),
        (3, 5, [0, 0, 1, 2, 2]),
        (1, 4, [0, 0, 0, 0]),
        (7, 1, [3]),
    ],
)
def test_testing_moments(moments: int, count: int, indices: list[int]) -> None:
    assert testing_moments(moments, count) == indices


@pytest.mark.parametrize(
    ("moments", "count", "clip", "indices"),
    [
        (10, 3, (3, 2), [3, 5, 7]),
        (10, 10, (10, 1), list(range(10))),
        (4, 3, (3, 3), [0, 3, 3]),
        (20, 9, (3, 2), [2, 4, 6, 8, 10, 12, 13, 15, 17]),
        (20, 1, (3, 2), [8, 10, 12]),
        (20, 4, (3, 2), [8, 10, 12]),
        (3, 6, (3, 2), [0, 2, 2, 0, 2, 2]),
    ],
)
def test_testing_dense(moments: int, count: int, clip: tuple[int, int], indices: list[int]) -> None:
    segments, gap = clip
    assert testing_dense(moments, count, Sampling(segments, "dense", gap)) == indices


@pytest.mark.parametrize(
    ("moments", "segments", "part", "indices"),
    [
        (9, 3, 0.0, [0, 3, 6]),
        (9, 3, 0.999, [2, 5, 8]),
        (10, 3, 0.0, [0, 3, 6]),  # parts 0-2, 3-5, 6-9
        (10, 3, 0.999, [2, 5, 9]),
        (10, 3, 0.5, [1, 4, 8]),
        (2, 3, 0.7, [0, 0, 1]),  # the first part is empty
        (1, 3, 0.7, [0, 0, 0]),
        (50, 1, 0.5, [25]),
    ],
)
def test_segments(moments: int, segments: int, part: float, indices: list[int]) -> None:
    assert training_moments(moments, Sampling(segments), Fixed(part)) == indices


@pytest.mark.parametrize(
    ("moments", "part", "indices"),
    [(10, 0.0, [0, 2, 4]), (10, 0.999, [5, 7, 9]), (3, 0.5, [0, 2, 2]), (1, 0.5, [0, 0, 0])],
)
def test_dense(moments: int, part: float, indices: list[int]) -> None:
    sampling = Sampling(3, "dense", gap=2)
    assert training_moments(moments, sampling, Fixed(part)) == indices


@given(st.integers(1, 500), st.integers(1, 30), st.integers(0, 10**6))
def test_moments_lie_in_the_video_in_order(moments: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for chosen in (
        training_moments(moments, Sampling(count), rng),
        training_moments(moments, Sampling(count, "dense", 3), rng),
        testing_moments(moments, count),
        testing_dense(moments, count, Sampling(count, "dense", 3)),
    ):
        assert len(chosen) == count
        assert all(0 <= moment < moments for moment in chosen)
        assert chosen == sorted(chosen)


def test_every_moment_of_a_part_is_drawn() -> None:
    rng = random_numbers(0, 0)
    seen = {training_moments(10, Sampling(2), rng)[1] for _ in range(300)}
    assert seen == {5, 6, 7, 8, 9}


@given(st.integers(1, 40), st.integers(0, 1000), st.integers(0, 5))
def test_each_pass_takes_every_clip_once(count: int, seed: int, turn: int) -> None:
    stream = SampleStream([0] * count, seed)
    clips = [stream[turn * count + i].clip for i in range(count)]
    assert sorted(clips) == list(range(count))


def test_passes_are_shuffled_differently_and_seeds_differ() -> None:
    stream, other = SampleStream([0] * 50, 1), SampleStream([0] * 50, 2)
    first = [stream[i].clip for i in range(50)]
    assert first != [stream[50 + i].clip for i in range(50)]
    assert first != [other[i].clip for i in range(50)]


def test_balanced_draws_classes_evenly_and_all_clips_of_a_class() -> None:
    labels = [0] * 30 + [1] * 3 + [2] * 7
    stream = SampleStream(labels, 0, balanced=True)
    drawn = [stream[i].clip for i in range(3 * 42)]
    per_class = np.bincount([labels[clip] for clip in drawn])
    assert per_class.tolist() == [42, 42, 42]
    counts = np.bincount(drawn, minlength=40)
    assert set(counts[30:33]) == {14}  # each of the three, 14 passes
    assert set(counts[33:]) == {6}


@given(
    st.integers(1, 30),
    st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 2), (4, 3)]),
    st.integers(0, 20),
)
def test_a_step_is_the_same_however_it_is_dealt(
    clips: int, parts: tuple[int, int], first: int
) -> None:
    accumulate, world = parts
    stream = SampleStream([0] * clips, 5)
    whole = [draw for batch in StepBatches(stream, 24, range(first, first + 2)) for draw in batch]
    dealt: list[Draw] = []
    loaders = [
        iter(
            StepBatches(
                stream, 24, range(first, first + 2), accumulate=accumulate, rank=r, world=world
            )
        )
        for r in range(world)
    ]
    for _ in range(2 * accumulate):
        for loader in loaders:
            dealt += next(loader)
    assert dealt == whole
    assert [draw.position for draw in whole] == list(range(first * 24, first * 24 + 48))


def test_a_batch_that_cannot_be_dealt_is_refused() -> None:
    with pytest.raises(UserError, match="--batch 10 does not divide among 4 processes"):
        StepBatches(SampleStream([0], 0), 10, range(1), world=4)
