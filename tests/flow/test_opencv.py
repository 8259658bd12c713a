"""The OpenCV engine: its CPU version here, its CUDA version against stand-ins."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import opencv_with_cuda
import pytest
from numpy.typing import NDArray

from flow.tvl1 import opencv
from flow.tvl1.compute import choose_engine, compute_flow, engines
from flow.tvl1.params import TVL1
from storage.errors import UserError

CPU = TVL1.preset("opencv-cpu")
QUICK = TVL1(scales=2, warps=1, inner=10)


def sliding(height: int = 40, width: int = 51, count: int = 3) -> NDArray[np.uint8]:
    """A texture that moves by (1, 0) a frame."""
    wide = np.random.default_rng(0).standard_normal((height, width + count)).astype(np.float32)
    wide = cv2.normalize(cv2.GaussianBlur(wide, None, 2), None, 0, 255, cv2.NORM_MINMAX)
    starts = range(count - 1, -1, -1)
    return np.stack([wide[:, start : start + width] for start in starts]).astype(np.uint8)


def test_the_cpu_version_finds_known_motion() -> None:
    flow = opencv.compute(sliding(), CPU)
    assert flow.shape == (2, 2, 40, 51)
    assert np.median(flow[:, 0, 8:-8, 8:-8]) == pytest.approx(1, abs=0.05)
    assert np.abs(flow[:, 1, 8:-8, 8:-8]).mean() < 0.05


def test_the_cpu_version_is_called_with_our_parameters() -> None:
    params = TVL1(
        tau=0.2,
        lambda_=0.1,
        theta=0.25,
        scales=3,
        scale_step=0.7,
        warps=2,
        epsilon=0.02,
        outer=2,
        inner=7,
        median=0,
        dialect="opencv-cpu",
    )
    method = cv2.optflow.DualTVL1OpticalFlow_create(0.2, 0.1, 0.25, 3, 2, 0.02, 7, 2, 0.7)
    method.setMedianFiltering(1)
    frames = sliding(count=2)
    expected = method.calc(frames[0], frames[1], None).transpose(2, 0, 1)
    assert np.array_equal(opencv.compute(frames, params)[0], expected)


def test_threads_do_not_change_the_flow() -> None:
    params = TVL1.preset("opencv-cpu")
    frames = sliding(32, 32, 5)
    assert np.array_equal(*(opencv.compute(frames, params, threads=n) for n in (1, 3)))


def test_one_version_is_never_passed_off_as_the_other() -> None:
    assert opencv.status(CPU) == "ok"
    assert "built without CUDA" in opencv.status()
    assert "another definition" in engines()["opencv"]
    assert engines(CPU)["opencv"] == "ok"
    assert choose_engine("opencv", CPU) == "opencv"
    for call in (
        lambda: opencv.compute(sliding(), TVL1()),
        lambda: compute_flow(sliding(), TVL1(), engine="opencv"),
    ):
        with pytest.raises(UserError, match=r"'opencv' does not work here: OpenCV .* without CUDA"):
            call()


def test_an_opencv_without_contrib_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(__version__="5.0"))
    assert "pip install opencv-contrib-python" in opencv.status(CPU)
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert "pip install opencv-contrib-python" in opencv.status(CPU)


@pytest.fixture
def with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """An OpenCV that was built with CUDA."""
    monkeypatch.setattr(cv2, "cuda", opencv_with_cuda.cuda_module())


@pytest.mark.usefixtures("with_cuda")
def test_the_cuda_version_gives_the_default_preset() -> None:
    assert engines()["opencv"] == "ok"
    frames = sliding(count=4)
    flow = compute_flow(frames, QUICK, engine="opencv")
    assert np.array_equal(flow, compute_flow(frames, QUICK, engine="reference"))


@pytest.mark.usefixtures("with_cuda")
def test_the_cpu_preset_is_still_opencv_s_cpu_version() -> None:
    frames = sliding(count=2)
    method = cv2.optflow.DualTVL1OpticalFlow_create()
    expected = method.calc(frames[0], frames[1], None).transpose(2, 0, 1)
    assert np.array_equal(opencv.compute(frames, CPU)[0], expected)


@pytest.mark.usefixtures("with_cuda")
def test_what_the_cuda_version_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has no median filter" in opencv.status(TVL1(median=5))
    monkeypatch.setattr(cv2, "cuda", opencv_with_cuda.cuda_module(devices=0))
    assert "finds no device" in opencv.status()
