"""The OpenCV engine: its CPU version here, its CUDA version against stand-ins."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import opencv_with_cuda
import pytest
from numpy.typing import NDArray
from surroundings import missing_system_part

from flow import opencv, opencv_cuda
from flow.compute import choose_engine, compute_flow, engines
from flow.gpu_source import source
from flow.params import TVL1
from storage.errors import UserError
from storage.quantize import RULES, Quantizer

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


def test_codes_are_the_quantised_flow() -> None:
    codes = opencv.compute_codes(sliding(), CPU, Quantizer())
    assert np.array_equal(codes, Quantizer().quantize(opencv.compute(sliding(), CPU)))


def test_one_version_is_never_passed_off_as_the_other() -> None:
    assert opencv.status(CPU) == "ok"
    assert "built without CUDA" in opencv.status()
    assert "another definition" in engines()["opencv"]
    assert engines(CPU)["opencv"] == "ok"
    assert choose_engine("opencv", CPU) == "opencv"
    for call in (
        lambda: opencv.compute(sliding(), TVL1()),
        lambda: opencv.compute_codes(sliding(), TVL1(), Quantizer()),
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
def with_cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """An OpenCV that was built with CUDA, and CuPy beside it."""
    if opencv_with_cuda.compiler() is None:
        missing_system_part("a C++ compiler", "install g++")
    cupy = opencv_with_cuda.cupy_module(tmp_path)
    monkeypatch.setattr(cv2, "cuda", opencv_with_cuda.cuda_module())
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    opencv_cuda.kernel.cache_clear()
    yield cupy
    opencv_cuda.kernel.cache_clear()


@pytest.mark.usefixtures("with_cuda")
def test_the_cuda_version_gives_the_default_preset() -> None:
    assert engines()["opencv"] == "ok"
    frames = sliding(count=4)
    flow = compute_flow(frames, QUICK, engine="opencv")
    assert np.array_equal(flow, compute_flow(frames, QUICK, engine="reference"))


@pytest.mark.usefixtures("with_cuda")
@pytest.mark.parametrize("rule", RULES)
def test_codes_made_on_the_device_are_the_host_s(rule: str) -> None:
    frames = 255 - sliding(33, 49, 4)
    quantizer = Quantizer(rule, 1.5)
    expected = quantizer.quantize(compute_flow(frames, QUICK, engine="reference"))
    assert len(np.unique(expected)) > 20
    assert np.array_equal(opencv.compute_codes(frames, QUICK, quantizer), expected)


@pytest.mark.usefixtures("with_cuda")
def test_flow_is_not_copied_to_the_host_before_it_is_quantised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copied = []
    download = opencv_with_cuda.GpuMat.download
    monkeypatch.setattr(
        opencv_with_cuda.GpuMat,
        "download",
        lambda self: copied.append(self.dtype) or download(self),
    )
    opencv.compute_codes(sliding(), QUICK, Quantizer())
    assert np.float32 not in copied


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


def test_without_cupy_the_remedy_is_named(
    with_cuda: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(UserError, match=r"pip install 'twostream\[cuda12\]'"):
        opencv.compute_codes(sliding(), QUICK, Quantizer())


@pytest.mark.parametrize("arch", ["70", "80", "90", "100"])
def test_the_kernel_compiles_for_every_gpu_that_the_toolkit_knows(
    arch: str, tmp_path: Path
) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not here; the CUDA toolkit has it")
    known = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True, check=True)
    if f"compute_{arch}" not in known.stdout.split():
        pytest.skip(f"this nvcc has no sm_{arch}")
    (tmp_path / "kernel.cu").write_text(source("opencv_codes.cu"))
    command = [nvcc, f"-arch=sm_{arch}", "-Xptxas=-v", "-cubin", "-o", "out", "kernel.cu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "0 bytes spill stores, 0 bytes spill loads" in done.stderr
