"""A video read live is what a store would hold of it, however it is cut into windows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from flow.algorithms.table import algorithm
from flow.extraction.extract import Source, extract_video
from flow.extraction.maker import FlowMaker
from flow.extraction.recipe import Recipe
from flow.pictures.live import Block, frames_of, recipe_of, windows
from flow.pictures.webcam import Webcam, open_camera
from flow.video.resize import Resize
from scripts.samples.sample_videos import SampleData, make_sample_data
from storage import Quantizer, StoreConfig, UserError, open_store

FAST = algorithm("dis", preset="ultrafast")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample video of 41 frames."""
    out = tmp_path_factory.mktemp("live")
    make_sample_data(
        out, SampleData(appearances=2, motions=2, groups=2, clips=1, frames=41, width=64, height=48)
    )
    return min(out.rglob("*.avi"))


RECIPES = {
    "plain": Recipe(flow=FAST),
    "step 2, both ways": Recipe(flow=FAST, step=2, fields=("forward", "backward"), codec="raw"),
    "smaller, slower": Recipe(
        flow=FAST, resize=Resize(short_side=32), fps=10, quantizer=Quantizer("round", 15)
    ),
    "jpeg": Recipe(flow=FAST, codec="jpeg:80", frame_codec="jpeg:70"),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("length", [7, 10, 1000])
def test_windows_hold_what_a_store_holds(
    name: str, length: int, clip: Path, tmp_path: Path
) -> None:
    recipe = RECIPES[name]
    store = open_store(tmp_path / "store", "w", recipe.config())
    extract_video(clip, "v", store, recipe)
    about = store.video("v")
    assert recipe_of(store.meta).config() == store.meta
    blocks = list(windows(Source(clip, recipe), recipe, "v", length=length, reach=3))
    edges = [block.start for block in blocks] + [blocks[-1].stop]
    assert edges[0] == 0
    assert edges[-1] == about.frames
    assert [block.stop for block in blocks] == edges[1:]
    assert [block.last for block in blocks] == [False] * (len(blocks) - 1) + [True]
    for block in blocks:
        window = block.window
        low = max(0, block.start - 3)
        frames = range(low, min(about.frames, block.stop + 3))
        assert np.array_equal(window.read_frames("v", frames), store.read_frames("v", frames))
        count = min(about.pairs, block.stop + 3) - low
        for field in recipe.fields:
            live = window.read_flow("v", low, count, field)
            assert np.array_equal(live, store.read_flow("v", low, count, field))
    last = blocks[-1].window.about
    assert (last.frames, last.pairs, last.fps) == (about.frames, about.pairs, about.fps)


def test_memory_holds_a_window_and_no_more(clip: Path) -> None:
    recipe = RECIPES["plain"]
    for block in windows(Source(clip, recipe), recipe, "v", length=5, reach=2):
        assert block.window.first >= block.start - 2
        with pytest.raises(UserError, match="not in memory"):
            block.window.read_frames("v", [block.stop + 500])
        with pytest.raises(UserError, match="not in memory"):
            block.window.read_flow("v", block.stop, 500)
    with pytest.raises(UserError, match="only video here"):
        block.window.video("other")
    with pytest.raises(UserError, match="not 'warped'"):
        block.window.read_flow("v", block.start, 1, "warped")


def test_frames_alone_compute_no_flow(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("flow was asked for")

    monkeypatch.setattr(FlowMaker, "__init__", never)
    recipe = frames_of(StoreConfig(frame_codec="none", algorithm="unknown", size="32x24"))
    blocks = list(windows(Source(clip, recipe), recipe, "v", length=20, reach=0, flow=False))
    assert [block.stop for block in blocks] == [20, 40, 41]
    assert blocks[0].window.rgb.shape[1:] == (24, 32, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithm": "unknown"}, "'unknown', which cannot be computed here.*--preset"),
        ({"fingerprint": "0" * 16}, "fingerprint 0000000000000000.*another version"),
        ({"fingerprint": ""}, "fingerprint of nothing"),
        ({"parameters": {"preset": "fast", "depth": 3}}, "no parameter 'depth'"),
        ({"size": "large"}, "'large' is not"),
    ],
)
def test_what_cannot_be_made_the_same_is_refused(change: dict[str, Any], message: str) -> None:
    config = replace(RECIPES["plain"].config(), **change)
    with pytest.raises(UserError, match=message):
        recipe_of(config)


class FakeCamera:
    """Frames of one grey level each, 40 ms apart, until it is unplugged."""

    def __init__(self, frames: int) -> None:
        self.frames, self.given, self.released = frames, 0, False

    def read(self) -> tuple[bool, Any]:
        if self.given == self.frames:
            return False, None
        self.given += 1
        picture = np.full((48, 64, 3), self.given, np.uint8)
        picture[..., 2] = 200  # red in OpenCV's order
        return True, picture

    def get(self, what: int) -> float:
        return 25.0 if what == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        self.released = True

    def clock(self) -> float:
        return self.given * 0.04


def webcam(camera: FakeCamera, recipe: Recipe, seconds: float) -> Webcam:
    return Webcam(0, recipe, seconds, open_it=lambda _: camera, clock=camera.clock)


def test_a_camera_is_read_like_a_file() -> None:
    camera, recipe = FakeCamera(1000), RECIPES["plain"]
    source = webcam(camera, recipe, 0.82)
    blocks: list[Block] = list(windows(source, recipe, "0", length=100, reach=2))
    assert camera.released
    window = blocks[0].window
    assert (source.fps, window.about.frames, window.about.pairs) == (25.0, 20, 19)
    assert window.rgb[0, 0, 0, 0] > 150  # red is first here
    slow = webcam(FakeCamera(1000), replace(recipe, fps=5), 0.82)
    assert slow.fps == 5
    assert len(list(slow.pictures())) == pytest.approx(4, abs=1)


def test_a_camera_that_is_unplugged_says_so() -> None:
    with pytest.raises(UserError, match="gave no frame 3"):
        list(webcam(FakeCamera(3), RECIPES["plain"], 5).pictures())
    with pytest.raises(UserError, match="--seconds 0"):
        webcam(FakeCamera(3), RECIPES["plain"], 0)


@pytest.mark.skipif(Path("/dev/video7").exists(), reason="this machine has an eighth camera")
def test_no_camera_is_one_clear_line() -> None:
    with pytest.raises(UserError, match="no camera 7 here"):
        open_camera(7)


def test_times_of_a_camera_are_exact() -> None:
    source = webcam(FakeCamera(1000), RECIPES["plain"], 0.5)
    times = [frame.time for frame in source._frames()]
    assert times[0] == Fraction(1, 25)
    assert all(b > a for a, b in pairwise(times))
