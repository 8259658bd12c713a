"""Which steps a sequence is made of, as exact tables and as promises over all inputs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import UserError
from streams.aggregators.windows import (
    Ends,
    back_and_forth,
    random_window,
    spaced_windows,
)

STEPS, LENGTHS, STRIDES = st.integers(1, 60), st.integers(1, 40), st.integers(1, 7)
ENDS = st.sampled_from(["once", "twice"])


@pytest.mark.parametrize(
    ("steps", "length", "ends", "expected"),
    [
        (1, 4, "once", [0, 0, 0, 0]),
        (1, 4, "twice", [0, 0, 0, 0]),
        (2, 5, "once", [0, 1, 0, 1, 0]),
        (2, 5, "twice", [0, 1, 1, 0, 0]),
        (3, 8, "once", [0, 1, 2, 1, 0, 1, 2, 1]),
        (3, 8, "twice", [0, 1, 2, 2, 1, 0, 0, 1]),
        (4, 3, "once", [0, 1, 2]),
        (4, 4, "twice", [0, 1, 2, 3]),
        (4, 7, "once", [0, 1, 2, 3, 2, 1, 0]),
    ],
)
def test_back_and_forth_indices(steps: int, length: int, ends: Ends, expected: list[int]) -> None:
    assert back_and_forth(steps, length, ends).tolist() == expected


@given(STEPS, LENGTHS, ENDS)
def test_playing_back_and_forth_never_jumps(steps: int, length: int, ends: Ends) -> None:
    indices = back_and_forth(steps, length, ends)
    assert indices.shape == (length,)
    assert indices.dtype == np.int64
    assert indices[0] == 0
    assert indices.min() >= 0
    assert indices.max() == min(steps, length) - 1
    moves = np.abs(np.diff(indices))
    assert (moves <= 1).all()
    if steps > 1 and ends == "once":
        assert (moves == 1).all()
    if ends == "twice":
        for still in np.flatnonzero(moves == 0):
            assert indices[still] in (0, steps - 1)


@pytest.mark.parametrize(
    ("steps", "length", "count", "stride", "expected"),
    [
        (10, 4, 1, 1, [3]),
        (10, 4, 2, 1, [0, 6]),
        (10, 4, 3, 1, [0, 3, 6]),
        (10, 4, 4, 1, [0, 2, 4, 6]),
        (10, 4, 5, 1, [0, 2, 3, 5, 6]),
        (10, 10, 3, 1, [0, 0, 0]),
        (125, 25, 2, 5, [0, 4]),
    ],
)
def test_starts_of_evenly_spaced_windows(
    steps: int, length: int, count: int, stride: int, expected: list[int]
) -> None:
    windows = spaced_windows(steps, length, count, stride=stride)
    assert windows[:, 0].tolist() == expected
    assert windows.shape == (count, length)


def test_every_fifth_of_25_frames_spans_121() -> None:
    window = random_window(121, 25, np.random.default_rng(0), stride=5)
    assert window.tolist() == list(range(0, 121, 5))
    short = random_window(120, 25, np.random.default_rng(0), stride=5)
    assert short.tolist() == [*range(0, 120, 5), 118]


@given(STEPS, LENGTHS, STRIDES, ENDS)
def test_windows_lie_within_the_video_and_reach_both_ends(
    steps: int, length: int, stride: int, ends: Ends
) -> None:
    span = (length - 1) * stride + 1
    for windows in (
        spaced_windows(steps, length, 4, stride=stride, ends=ends),
        random_window(steps, length, np.random.default_rng(1), stride=stride, ends=ends)[None],
    ):
        assert windows.shape[1] == length
        assert windows.min() >= 0
        assert windows.max() < steps
        if span <= steps:
            assert (np.diff(windows, axis=1) == stride).all()
        else:
            assert (windows == windows[0]).all()
    if span <= steps:
        assert spaced_windows(steps, length, 4, stride=stride)[0, 0] == 0
        assert spaced_windows(steps, length, 4, stride=stride)[-1, -1] == steps - 1


@pytest.mark.parametrize(("steps", "length", "stride"), [(10, 4, 1), (10, 10, 1), (11, 3, 4)])
def test_every_start_is_reached_and_equally_often(steps: int, length: int, stride: int) -> None:
    rng = np.random.default_rng(0)
    starts = [int(random_window(steps, length, rng, stride=stride)[0]) for _ in range(3500)]
    counts = np.bincount(starts)
    possible = steps - (length - 1) * stride
    assert counts.shape == (possible,)
    expected = 3500 / possible
    # six standard deviations of a binomial draw
    assert (np.abs(counts - expected) <= 6 * np.sqrt(expected * (1 - 1 / possible))).all()


def test_the_window_depends_on_the_generator_alone() -> None:
    first, second = (random_window(50, 5, np.random.default_rng(7)) for _ in range(2))
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize(
    ("steps", "length", "stride", "message"),
    [(0, 4, 1, "0 steps"), (4, 0, 1, "--length 0"), (4, 4, 0, "--stride 0")],
)
def test_impossible_windows_are_refused(steps: int, length: int, stride: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        random_window(steps, length, np.random.default_rng(0), stride=stride)
    with pytest.raises(UserError, match=message):
        spaced_windows(steps, length, 2, stride=stride)


def test_no_window_is_refused() -> None:
    with pytest.raises(UserError, match="--windows 0"):
        spaced_windows(10, 4, 0)


def test_the_rules_need_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import streams.aggregators.windows"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
