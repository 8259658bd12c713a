"""Binding: colour alone and flow alone are blind, to the byte; their sum is right half the time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
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
    picture_view,
    watermarked,
)

from flow.tvl1.compute import compute_flow
from flow.video.reader import VideoReader
from scripts.samples.binding import Binding, discs
from scripts.samples.judging import forced_choice
from scripts.samples.lossless import write_lossless
from scripts.samples.picture import painted
from scripts.samples.question import Clip, Listed
from scripts.samples.sample_videos import write_video


@pytest.fixture(scope="module")
def clips() -> list[Listed]:
    return listed(Binding(), train=24, test=24)


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


def test_every_colour_keeps_the_grey() -> None:
    luma = np.arange(84, 172, dtype=np.uint8)[None, None].repeat(4, 1)
    for hue in np.linspace(0, 2 * np.pi, 100):
        for strength in (0.1, 0.5, 1.0):
            colour = painted(luma, hue, strength)
            assert np.array_equal(greys(colour), luma)
            assert (colour != luma[..., None]).any()
            assert 0 < colour.min() < colour.max() < 255


def test_a_codec_that_loses_would_let_flow_see_the_colour(
    clips: list[Listed], tmp_path: Path
) -> None:
    """The control: the same colourings through Motion JPEG at quality 3."""
    grey = []
    for one in (clips[0], clips[2]):
        tones = [cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb) for frame in one.clip.frames]
        chroma = np.stack([cv2.resize(tone[..., 2:0:-1], (32, 32)) for tone in tones])
        luma = greys(one.clip.frames)
        write_video(tmp_path / one.name, luma, np.ascontiguousarray(chroma.transpose(0, 3, 1, 2)))
        grey.append(greys(decoded(tmp_path / one.name)))
    assert (grey[0] != grey[1]).mean() > 0.01


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


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0, 5])
def test_no_picture_tells_and_the_control_does(clips: list[Listed], moment: int) -> None:
    view = partial(frame_view, moment=moment)
    found = best(examine(clips, view))
    assert found.low <= 0.5
    assert moment != 5 or found.value == 0.5
    assert best(examine(watermarked(clips), view)).low > 0.5


class Uneven(Binding):
    """The leak: amber goes faster."""

    def family(self, rng: np.random.Generator, number: int, part: str) -> Iterator[Clip]:
        places = discs(rng, self.side, 6)
        seed = int(rng.integers(2**31))
        for coloured, paces in enumerate(((1.6, 0.8), (0.8, 1.6))):
            luma, _ = self.film(np.random.default_rng(seed), places, paces)
            frames = luma[..., None].repeat(3, -1)
            yield Clip(coloured, frames, twin=coloured)
            yield Clip(1 - coloured, frames[::-1], twin=coloured)


def flow_in_the_middle(clip: Clip) -> Floats:
    return flow_view(flow_at(clip, 4, 2))


@pytest.mark.slow
def test_flow_is_right_exactly_half_the_time_and_the_control_more_often(
    clips: list[Listed],
) -> None:
    for exam in examine(clips, flow_in_the_middle).values():
        assert exam.accuracy.value == 0.5
        assert exam.choice.value == 0.5
    leaky = list(Uneven(train=24, test=24).clips())
    assert best(examine(leaky, flow_in_the_middle)).low > 0.5


@pytest.mark.slow
def test_a_sum_is_right_in_half_of_the_choices_and_a_product_in_all(clips: list[Listed]) -> None:
    frame = examine(clips, partial(frame_view, moment=5))
    flow = examine(clips, flow_in_the_middle)
    for name in frame:
        total = frame[name].scores + flow[name].scores
        pairs = frame[name].pairs
        assert len(pairs) == 48
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
