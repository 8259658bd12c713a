"""The overlay is a video of the right length that shows what it is summary."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from flow.pictures.overlay import HEIGHT, WIDTH, Overlay, _ticks
from storage import UserError

CLASSES = ("Archery", "Biking", "A class whose name is far too long to be written in a column")


def overlay(path: Path, **options: float) -> Overlay:
    return Overlay(path, CLASSES, fps=25, duration=2, title="some/long.avi", **options)  # type: ignore[arg-type]


def test_frames_go_in_and_come_out(tmp_path: Path) -> None:
    rgb = np.full((60, 80, 3), (200, 30, 30), np.uint8)
    flow = np.zeros((2, 60, 80), np.float32)
    flow[0] = 3.0
    with overlay(tmp_path / "o.mp4") as made:
        for number in range(12):
            if number % 4 == 0:
                made.history.add(number / 25, np.array([0.2, 0.7, 0.1], np.float32))
            made.add(rgb, flow, number / 25)
    with av.open(str(tmp_path / "o.mp4")) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert file.streams.video[0].average_rate == 25
    assert len(frames) == 12
    assert frames[0].shape == (HEIGHT, WIDTH, 3)
    left, right = frames[6][250, 320].astype(int), frames[6][250, 960].astype(int)
    assert np.abs(left - (200, 30, 30)).max() < 12  # the picture
    assert right[0] > 200 > 120 > right[1]  # motion to the right is red
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"]


def test_a_page_says_when_there_is_nothing_to_say(tmp_path: Path) -> None:
    rgb = np.zeros((60, 80, 3), np.uint8)
    with overlay(tmp_path / "o.mp4") as made:
        before = made.draw(rgb, None, 0.0)
        made.history.add(0.1, np.array([0.9, 0.05, 0.05], np.float32))
        after = made.draw(rgb, None, 0.1)
        made.add(rgb, None, 0.1)
    bars = (slice(500, 700), slice(24, 628))
    assert (before[bars] != after[bars]).any()


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
def test_ticks_are_few_and_round(span: float) -> None:
    ticks = _ticks(span)
    assert 3 <= len(ticks) <= 10
    assert ticks[0] == 0
    assert ticks[-1] <= span + 1e-6
