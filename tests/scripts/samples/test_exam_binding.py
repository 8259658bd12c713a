"""Binding: colour alone and flow alone are blind, to the byte; their sum is right half the time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from exam_material import (
    Floats,
    best,
    examine,
    flow_at,
    flow_view,
    greys,
    listed,
    pairs_of,
    picture_view,
)

from flow.compute import compute_flow
from flow.video import VideoReader
from scripts.samples.binding import AMBER, Binding
from scripts.samples.judging import figure, forced_choice
from scripts.samples.lossless import write_lossless
from scripts.samples.picture import STRONGEST, painted
from scripts.samples.question import Clip, Listed


@pytest.fixture(scope="module")
def clips() -> list[Listed]:
    return listed(Binding(), train=50, test=50)


def decoded(path: Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return np.stack([frame.rgb for frame in reader])


def test_after_the_file_the_colourings_have_one_grey_and_one_flow(
    clips: list[Listed], tmp_path: Path
) -> None:
    for one in clips[:4]:
        write_lossless(tmp_path / one.name, one.clip.frames)
    seen = [decoded(tmp_path / one.name) for one in clips[:4]]
    for frames, one in zip(seen, clips, strict=False):
        assert np.array_equal(frames, one.clip.frames)
    grey = [greys(frames) for frames in seen]
    assert np.array_equal(grey[0], grey[2])
    assert np.array_equal(grey[1], grey[3])
    assert not np.array_equal(seen[0], seen[2])
    assert np.array_equal(compute_flow(grey[0]), compute_flow(grey[2]))


def test_every_colour_keeps_the_grey_and_rounding_alone_would_not() -> None:
    luma = np.arange(84, 172, dtype=np.uint8)[None, None].repeat(4, 1)
    off = 0
    for hue in np.linspace(0, 2 * np.pi, 100):
        for strength in (0.1, 0.5, 1.0):
            colour = painted(luma, hue, strength)
            assert np.array_equal(greys(colour), luma)
            assert (colour != luma[..., None]).any()
            assert 0 < colour.min() < colour.max() < 255
            chroma = STRONGEST / 1.772 * strength
            plain = luma[..., None] + chroma * np.array(
                [
                    1.402 * np.sin(hue),
                    -0.344 * np.cos(hue) - 0.714 * np.sin(hue),
                    1.772 * np.cos(hue),
                ]
            )
            off += int((greys(np.rint(plain).clip(0, 255).astype(np.uint8)) != luma).sum())
    assert off > 100


def test_a_video_and_its_reverse_hold_the_same_frames_and_are_of_other_classes(
    clips: list[Listed],
) -> None:
    for first in range(0, 40, 2):
        a, b = clips[first].clip, clips[first + 1].clip
        assert np.array_equal(a.frames, b.frames[::-1])
        assert (a.label, a.twin) == (1 - b.label, b.twin)
        assert np.array_equal(a.frames[5], b.frames[5])


def frame_view(clip: Clip, moment: int) -> Floats:
    return picture_view(clip.frames[moment])


def exposed_along(one: Listed) -> Listed:
    """The leak: the film grows brighter by half a level a frame as it was taken, and a reversed
    one darker."""
    first_up = one.clip.truth["discs"][0]["moves"] == "up"
    gain = np.arange(11)[:, None, None, None] * 0.5
    frames = np.rint(one.clip.frames + (gain if first_up else gain[::-1])).astype(np.uint8)
    return replace(one, clip=replace(one.clip, frames=frames))


@pytest.mark.parametrize("moment", [0, 5])
def test_no_picture_tells_and_the_control_does(clips: list[Listed], moment: int) -> None:
    found = best(examine(clips, partial(frame_view, moment=moment)))
    assert found.low <= 0.5
    if moment == 5:
        assert found.value == 0.5
        return
    leaky = [exposed_along(one) for one in clips]

    def colour_by_light(clip: Clip) -> Floats:
        amber = clip.frames[0, ..., 0].astype(float) - clip.frames[0, ..., 2]
        first = clip.truth["discs"][0]
        there = amber[round(first["y"]), round(first["x"])] > 0
        light = clip.frames[0].mean() - clip.frames[5].mean()
        return np.array([light, 2.0 * there - 1, light * (2.0 * there - 1)])

    assert best(examine(clips, colour_by_light)).low <= 0.5
    assert best(examine(leaky, colour_by_light)).low > 0.9


def test_flow_is_right_exactly_half_the_time_and_the_control_more_often(
    clips: list[Listed],
) -> None:
    def view(clip: Clip) -> Floats:
        return flow_view(flow_at(clip, 3, 2))

    for exam in examine(clips, view).values():
        assert exam.accuracy.value == 0.5
        assert exam.choice.value == 0.5

    def leaky(clip: Clip) -> Floats:
        """The leak: amber is half a level brighter, which grey keeps."""
        amber = clip.frames[..., 0].astype(float) > clip.frames[..., 2].astype(float) + 20
        frames = greys(clip.frames).astype(float) + 6 * amber
        flow = compute_flow(np.rint(frames[3:5]).astype(np.uint8))
        glow = amber[3] * (frames[3] - greys(clip.frames[3:4])[0])
        return np.array([(flow[0, 1] * (glow > 0)).mean(), flow[0, 1].mean(), glow.mean()])

    assert best(examine(clips, leaky)).low > 0.9


def test_a_sum_is_right_in_half_of_the_choices_and_a_product_in_all(clips: list[Listed]) -> None:
    frame = examine(clips, partial(frame_view, moment=5))
    flow = examine(clips, lambda clip: flow_view(flow_at(clip, 4, 2)))
    for name in frame:
        total = frame[name].scores + flow[name].scores
        pairs = frame[name].pairs
        assert len(pairs) == 100
        assert forced_choice(total, frame[name].labels, pairs).mean() == 0.5

    def joined(clip: Clip) -> Floats:
        colour = clip.frames[5, ..., 0].astype(float) - clip.frames[5, ..., 2]
        flow = flow_at(clip, 5)[0]
        return np.array([(colour * flow[1]).mean(), colour.mean(), flow[1].mean()])

    assert best(examine(clips, joined), "choice").value == 1.0


def test_places_and_colours_are_where_the_truth_says(clips: list[Listed]) -> None:
    for one in clips[:8]:
        flow = flow_at(one.clip, 4)[0]
        for disc in one.clip.truth["discs"]:
            x, y = round(disc["x"]), round(disc["y"])
            red, _, blue = one.clip.frames[5, y, x].astype(int)
            assert (red > blue) == (disc["colour"] == "amber")
            assert (flow[1, y - 3 : y + 4, x - 3 : x + 4].mean() < 0) == (disc["moves"] == "up")
        up = {d["colour"] for d in one.clip.truth["discs"] if d["moves"] == "up"}
        assert up == {("amber", "azure")[one.clip.label]}


def test_an_even_number_of_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="binding: --frames is 12; it must be odd"):
        Binding(frames=12)
    assert AMBER > 0
    assert figure(np.ones(3)).value == 1
    assert pairs_of([], np.zeros(0, bool)) == []
