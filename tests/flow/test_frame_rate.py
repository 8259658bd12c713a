from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow.extraction.recipe import Recipe
from flow.video.frame_rate import resample
from flow.video.reader import Frame, VideoError
from storage.errors import UserError


def clip(times: list[Fraction]) -> list[Frame]:
    return [Frame(np.full((1, 1, 3), i, np.uint8), t) for i, t in enumerate(times)]


def steady(count: int, rate: int) -> list[Fraction]:
    return [Fraction(i, rate) for i in range(count)]


def shown(times: list[Fraction], fps: float | None) -> list[int]:
    return [int(f.rgb[0, 0, 0]) for f in resample(clip(times), fps)]


@pytest.mark.parametrize(
    ("times", "fps", "indices"),
    [
        (steady(6, 25), None, [0, 1, 2, 3, 4, 5]),
        (steady(6, 25), 25, [0, 1, 2, 3, 4, 5]),
        (steady(6, 30), 15, [0, 2, 4]),
        (steady(3, 10), 20, [0, 0, 1, 1, 2, 2]),
        (steady(6, 30), 10, [0, 3]),
        (steady(5, 25), 30, [0, 0, 1, 2, 3, 4]),
        ([Fraction(0), Fraction(1, 10), Fraction(1, 2)], 10, [0, 1, 1, 1, 1, 2, 2, 2, 2]),
        (steady(1, 25), 12, [0]),
        ([], 12, []),
    ],
)
def test_the_frame_on_show(times: list[Fraction], fps: float | None, indices: list[int]) -> None:
    assert shown(times, fps) == indices


@given(
    gaps=st.lists(st.integers(0, 300), min_size=1, max_size=40),
    fps=st.sampled_from([1, 7.5, 10, 24, 25, 29.97, 30, 60]),
)
def test_every_output_is_the_last_frame_not_later(gaps: list[int], fps: float) -> None:
    times = [Fraction(sum(gaps[:i]), 1000) for i in range(len(gaps) + 1)]
    tick = 1 / Fraction(fps).limit_denominator(1001)
    got = shown(times, fps)
    for k, index in enumerate(got):
        assert index == max((i for i, t in enumerate(times) if t <= k * tick))
    end = times[-1] + (times[-1] - times[-2])
    assert len(got) == max(1, -(-end // tick))  # as many ticks as lie before the end


def test_a_leap_in_time_is_damage() -> None:
    with pytest.raises(VideoError, match="time stamps leap by 5000 s"):
        list(resample(clip([Fraction(0), Fraction(5000)]), 25))


@pytest.mark.parametrize("fps", [0, -1, 2000, 0.0001, float("inf"), float("nan")])
def test_a_rate_that_no_video_has_is_a_mistake(fps: float) -> None:
    with pytest.raises(UserError, match="is not between"):
        Recipe(fps=fps)


@pytest.mark.parametrize("fps", [0.001, 1000])
def test_the_ends_of_the_scale_work(fps: float) -> None:
    assert set(shown(steady(3, 25), Recipe(fps=fps).fps)) <= {0, 1, 2}
