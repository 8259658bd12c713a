"""The algorithms beside TV-L1: known motion, fingerprints, mistakes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from flow.algorithms.table import ALGORITHMS, algorithm
from flow.tvl1.params import TVL1
from storage.errors import UserError


def sliding(pixels: int, count: int = 4) -> NDArray[np.uint8]:
    """A texture that moves right by so many pixels a frame: uint8 (count, 72, 96)."""
    wide = np.random.default_rng(0).integers(0, 255, (72, 96 + pixels * count)).astype(np.uint8)
    wide = cv2.GaussianBlur(wide, None, 2)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX)
    starts = [pixels * (count - 1 - i) for i in range(count)]
    return np.stack([wide[:, start : start + 96] for start in starts])


@pytest.mark.parametrize("name", ["dis", "farneback"])
@pytest.mark.parametrize("threads", [1, 2])
def test_known_motion_is_found(name: str, threads: int) -> None:
    flow = algorithm(name).compute(sliding(2), threads=threads)
    assert flow.shape == (3, 2, 72, 96)
    assert flow.dtype == np.float32
    inside = flow[:, :, 12:-12, 12:-12]
    assert np.median(inside[:, 0]) == pytest.approx(2, abs=0.1)
    assert np.abs(inside[:, 1]).mean() < 0.1


@pytest.mark.parametrize("name", ["dis", "farneback"])
def test_threads_do_not_change_the_flow(name: str) -> None:
    one, three = (algorithm(name).compute(sliding(1, 6), threads=n) for n in (1, 3))
    assert np.array_equal(one, three)


def test_a_still_video_has_no_flow() -> None:
    """But for Farneback's, which OpenCV makes drift near the border even then."""
    assert np.abs(algorithm("dis").compute(sliding(0))).max() < 0.01
    assert np.abs(algorithm("farneback").compute(sliding(0))[:, :, 24:-24, 24:-24]).max() < 0.01


def test_tvl1_is_the_same_as_ever() -> None:
    frames = sliding(1, 2)[:, :32, :32]
    flow = algorithm("tvl1", TVL1(scales=1, warps=1)).compute(frames, engine="reference")
    assert flow.shape == (1, 2, 32, 32)


def test_fingerprints_tell_everything_apart() -> None:
    marks = [
        *(algorithm(name).fingerprint for name in ALGORITHMS),
        algorithm("tvl1", TVL1.preset("opencv-cpu")).fingerprint,
        algorithm("dis", preset="fast").fingerprint,
        algorithm("farneback", winsize=13).fingerprint,
    ]
    assert len(set(marks)) == len(marks)
    assert algorithm("tvl1").fingerprint == TVL1().fingerprint
    assert algorithm("dis").fingerprint == algorithm("dis", preset="medium").fingerprint


def test_parameters_are_json_values() -> None:
    assert algorithm("dis").parameters == {"preset": "medium"}
    assert algorithm("farneback", levels=3).parameters["levels"] == 3


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("raft", {}, "no flow 'raft'; choose one of tvl1, dis, farneback"),
        ("dis", {"preset": "slow"}, "'slow' is not known; choose one of ultrafast, fast, medium"),
        ("dis", {"speed": 1}, "dis has no parameter 'speed'; it has preset"),
        ("farneback", {"poly_n": 6}, "poly_n is 6; it must be 5 or 7"),
        ("farneback", {"pyr_scale": 1.0}, "must be between 0 and 1"),
        ("dis", {"params": TVL1()}, "dis takes DIS parameters"),
    ],
)
def test_mistakes_say_what_is_allowed(name: str, parameters: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        algorithm(name, **parameters)


def test_other_engines_are_for_tvl1() -> None:
    with pytest.raises(UserError, match="no flow engine 'gpu'; choose auto, opencv"):
        algorithm("dis").compute(sliding(1), engine="gpu")


def test_frames_are_checked() -> None:
    with pytest.raises(UserError, match="at least 2"):
        algorithm("dis", preset="fast").compute(sliding(1)[:1])
