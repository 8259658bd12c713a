"""The overlay is a video of the right length that shows what it is given, at the video's size."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from flow.pictures.history import CELLS, MOST, AttentionStrip, History
from flow.pictures.overlay import Overlay, ticks_of
from flow.pictures.overlay_layout import Region, layout_of
from storage import UserError

CLASSES = ("Archery", "Biking", "A class whose name is far too long to be written in a column")


def overlay(path: Path, **options: object) -> Overlay:
    given: dict[str, object] = {"fps": 25, "duration": 2, "title": "some/long.avi"}
    return Overlay(path, CLASSES, **(given | options))  # type: ignore[arg-type]


def test_frames_go_in_and_come_out(tmp_path: Path) -> None:
    rgb = np.full((60, 80, 3), (200, 30, 30), np.uint8)
    flow = np.zeros((2, 30, 40), np.float32)
    flow[0] = 3.0
    with overlay(tmp_path / "o.mp4") as made:
        for number in range(12):
            if number % 4 == 0:
                made.history.add(number / 25, np.array([0.2, 0.7, 0.1], np.float32))
            made.add(rgb, flow, number / 25)
    where = layout_of(80, 60, flow=True)
    with av.open(str(tmp_path / "o.mp4")) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert file.streams.video[0].average_rate == 25
    assert len(frames) == 12
    assert frames[0].shape == (where.height, where.width, 3)
    assert np.abs(frames[6][middle(where.picture)].astype(int) - (200, 30, 30)).max() < 12
    assert where.flow is not None
    right = frames[6][middle(where.flow)].astype(int)
    assert right[0] > 200 > 120 > right[1]  # motion to the right is red
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"]


def middle(region: Region) -> tuple[int, int]:
    return region.top + region.height // 2, region.left + region.width // 2


@pytest.mark.parametrize("size", [(1080, 1920), (1920, 1080), (240, 320), (720, 960), (481, 853)])
def test_every_pixel_of_the_video_is_one_or_a_square_of_them(
    size: tuple[int, int], tmp_path: Path
) -> None:
    height, width = size
    rgb = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    with overlay(tmp_path / "o.mp4") as made:
        page = made.draw(rgb, None, 0.0)
        made.add(rgb, None, 0.0)
    where = layout_of(width, height, flow=True)
    assert page.shape == (where.height, where.width, 3)
    assert page.shape[0] % 2 == page.shape[1] % 2 == 0
    box = where.picture
    assert box.width % width == box.height % height == 0
    assert box.width // width == box.height // height
    if box.width == width:
        shown = page[box.top : box.bottom, box.left : box.right]
        np.testing.assert_array_equal(shown, rgb)


@pytest.mark.parametrize("flow", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (64, 48), (1080, 1920), (2000, 100), (100, 2000)])
def test_nothing_lies_over_another_or_outside(size: tuple[int, int], flow: bool) -> None:
    where = layout_of(size[1], size[0], flow=flow, strips=1)
    boxes = [where.header, where.picture, where.bars, where.curves]
    boxes += [where.flow] if where.flow else []
    taken = np.zeros((where.height, where.width), int)
    for box in boxes:
        assert min(box) >= 0
        assert box.right <= where.width
        assert box.bottom <= where.height
        taken[box.top : box.bottom, box.left : box.right] += 1
    assert taken.max() == 1
    assert (where.flow is not None) == flow


def test_a_page_says_when_there_is_nothing_to_say(tmp_path: Path) -> None:
    rgb = np.zeros((60, 80, 3), np.uint8)
    with overlay(tmp_path / "o.mp4", flow=False) as made:
        before = made.draw(rgb, None, 0.0)
        made.history.add(0.1, np.array([0.9, 0.05, 0.05], np.float32))
        after = made.draw(rgb, None, 0.1)
        made.add(rgb, None, 0.1)
    box = layout_of(80, 60, flow=False).bars
    bars = (slice(box.top, box.bottom), slice(box.left, box.right))
    assert (before[bars] != after[bars]).any()


def test_each_stream_has_a_column_beside_the_fused_one(tmp_path: Path) -> None:
    rgb = np.zeros((60, 80, 3), np.uint8)
    fused, other = np.array([0.9, 0.05, 0.05], np.float32), np.array([0, 1, 0], np.float32)
    with overlay(tmp_path / "o.mp4", streams=("spatial", "temporal")) as made:
        pages = []
        for own in ({}, {"spatial": fused}, {"spatial": fused, "temporal": other}):
            made.history.add(0.1, fused, own)
            pages.append(made.draw(rgb, None, 0.1))
        made.add(rgb, None, 0.1)
    changed = [np.flatnonzero((a != b).any((0, 2))) for a, b in pairwise(pages)]
    assert all(len(columns) for columns in changed)
    assert changed[0].max() < changed[1].min()  # the second stream stands to the right of the first


def test_attention_lies_under_the_time_at_which_it_was(tmp_path: Path) -> None:
    rgb = np.zeros((60, 80, 3), np.uint8)
    with overlay(tmp_path / "o.mp4", flow=False) as made:
        strip = made.strip_of("attention")
        assert strip is not None
        strip.add([0.5, 1.0, 1.5], np.array([(255, 0, 0), (0, 255, 0)], np.uint8), 2.0)
        page = made.draw(rgb, None, 0.1).astype(int)
        assert made.strip_of("another") is None  # the page has no room for it
        made.add(rgb, None, 0.1)
    red = np.flatnonzero(((page == (255, 0, 0)).all(-1)).any(0))
    green = np.flatnonzero(((page == (0, 255, 0)).all(-1)).any(0))
    assert red.max() < green.min()
    assert abs(np.ptp(red) - np.ptp(green)) <= 1


def test_a_strip_keeps_its_place_when_the_video_is_longer_than_thought() -> None:
    strip = AttentionStrip()
    strip.add([0, 1], np.array([(9, 9, 9)], np.uint8), 1.0)
    strip.add([2, 4], np.array([(5, 5, 5)], np.uint8), 1.0)
    assert strip.span == 4
    quarter = CELLS // 4
    assert strip.known[: quarter - 1].all()
    assert not strip.known[quarter + 1 : 2 * quarter - 1].any()
    assert (strip.colours[2 * quarter + 1 :] == 5).all()


def test_a_long_video_takes_no_more_memory_than_a_short_one() -> None:
    history = History()
    shares = np.full(400, 1 / 400, np.float32)

    def filled(first: int, last: int) -> int:
        for k in range(first, last):
            history.add(k / 5, shares.copy(), {"a": shares})
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    hour = filled(0, 18_000)
    ten = filled(18_000, 180_000)
    tracemalloc.stop()
    assert ten < 2 * hour < 10e6
    assert len(history.times) <= MOST
    assert history.times[-1] == history.last == 179_999 / 5
    assert np.all(np.diff(history.times) > 0)


def test_colours_keep_their_scale(tmp_path: Path) -> None:
    with overlay(tmp_path / "o.mp4") as made:
        still, fast, slow = (np.full((2, 8, 8), v, np.float32) for v in (0.0, 5.0, 1.0))
        assert made.full_for(still) == 1  # nothing has moved: not settled
        assert made.full_for(fast) == 8
        assert made.full_for(slow) == 8
        made.add(np.zeros((8, 8, 3), np.uint8), slow, 0)


def test_a_broken_run_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> None:
        with overlay(tmp_path / "o.mp4") as made:
            made.add(np.zeros((8, 8, 3), np.uint8), None, 0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["o.avi", "nowhere/o.mp4"])
def test_a_path_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--overlay"):
        overlay(tmp_path / name)


@pytest.mark.parametrize("span", [0.04, 0.3, 1, 3.5, 10, 59.9, 61, 3600, 86400])
def testticks_of_are_few_and_round(span: float) -> None:
    ticks = ticks_of(span)
    assert 3 <= len(ticks) <= 10
    assert ticks[0] == 0
    assert ticks[-1] <= span + 1e-6
