"""The CuPy side of the GPU engine, against a stand-in; and every reason why it may not work."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cupy_on_host
import numpy as np
import pytest
from host_device import HostDevice
from moving_texture import moving, shift

from flow.tvl1.compute import choose_engine, engines
from flow.tvl1.gpu import compiler
from flow.tvl1.gpu import cupy_device as gpu_cupy
from flow.tvl1.gpu import engine as gpu
from flow.tvl1.params import TVL1
from storage.codecs.quantize import Quantizer
from storage.errors import UserError

SMALL = replace(TVL1(), scales=2, warps=2, inner=12)


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    forget()
    yield
    forget()


def forget() -> None:
    """What was found out about one stand-in does not hold for the next."""
    for known in (gpu_cupy.open_device, gpu_cupy._compile_status, compiler.known_architectures):
        known.cache_clear()


def test_it_gives_what_the_kernels_give(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, _ = moving(shift(1, 0.5), 30, 70)
    expected = gpu.compute(frames, SMALL, device=HostDevice())
    cupy_on_host.install(monkeypatch, count=2)
    assert engines()["gpu"] == "ok"
    assert choose_engine("auto") == "gpu"
    for device in (0, 1):
        assert np.array_equal(gpu.compute(frames, SMALL, device=device), expected)
        codes = gpu.compute_codes(frames, SMALL, Quantizer(), device=device)
        assert np.array_equal(codes, Quantizer().quantize(expected))
    assert not cupy_on_host.current


@pytest.mark.parametrize(("shared", "rows"), [(227, 8), (163, 8), (99, 8), (64, 4)])
def test_tiles_fit_the_devices_shared_memory(
    monkeypatch: pytest.MonkeyPatch, shared: int, rows: int
) -> None:
    cupy_on_host.install(monkeypatch, shared=shared * 1024)
    device = gpu_cupy.open_device(0)
    assert device.tile_rows == rows
    assert device.name == "Stand-in (GPU 0)"


def test_a_full_gpu_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, _ = moving(shift(1, 0.5), 30, 70)
    cupy_on_host.install(monkeypatch, free=100_000)
    with pytest.raises(UserError, match=r"Stand-in \(GPU 0\) has 0 MiB free; one pair of 70x30"):
        gpu.compute(frames, SMALL)


def test_why_it_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def status_with(cupy: ModuleType | None) -> str:
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        return gpu.status()

    def broken(*arguments: object) -> int:
        raise RuntimeError("cudaErrorInsufficientDriver:\n  too old")

    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(gpu_cupy, "has_driver", lambda: False)
    assert gpu.status() == "no NVIDIA driver here"
    monkeypatch.setattr(gpu_cupy, "has_driver", lambda: True)
    assert gpu.status().startswith("CuPy is not installed; install the CuPy that fits")

    cupy = cupy_on_host.install(monkeypatch, count=0)
    assert status_with(cupy) == "no GPU found"
    cupy = cupy_on_host.install(monkeypatch)
    cupy.cuda.runtime.getDeviceCount = broken
    assert "no GPU: cudaErrorInsufficientDriver: too old; install the CuPy" in status_with(cupy)
    cupy = cupy_on_host.install(monkeypatch)
    cupy.cuda.nvrtc.getVersion = broken
    forget()
    assert "CuPy cannot compile kernels" in status_with(cupy)
    cupy = cupy_on_host.install(monkeypatch, capability="61")
    forget()
    assert "compute capability 6.1; 7.0 is needed" in status_with(cupy)


def test_ok_means_that_a_kernel_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    nvrtc = cupy_on_host.NVRTC()
    cupy_on_host.install(monkeypatch, nvrtc=nvrtc)
    assert gpu.status() == "ok"
    assert nvrtc.compiled == ["tiny.cu"]
    nvrtc.fault = "tiny.cu(1): error: identifier is undefined\n1 error detected"
    forget()
    assert gpu.status() == (
        "NVRTC does not compile tiny.cu: tiny.cu(1): error: identifier is undefined"
    )


def test_an_architecture_that_nvrtc_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    nvrtc = cupy_on_host.NVRTC((75, 80, 90))
    cupy_on_host.install(monkeypatch, nvrtc=nvrtc, capability="70")
    assert gpu.status() == (
        "NVRTC 12.9 has no sm_70, this GPU's architecture; "
        "pip install 'twostream[cuda12]' instead of [cuda13]"
    )
    targets = {(9, 0): "-arch=sm_90", (8, 6): "-arch=sm_80", (12, 0): "-arch=compute_90"}
    assert {capability: compiler.target_of(capability) for capability in targets} == targets


def test_kernels_are_compiled_once_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nvrtc = cupy_on_host.NVRTC()
    cupy_on_host.install(monkeypatch, nvrtc=nvrtc)
    path = compiler.kept_module("solve.cu", 8, (9, 0))
    assert path.parent == tmp_path / "cache" / "twostream" / "kernels"
    assert compiler.kept_module("solve.cu", 8, (9, 0)) == path
    assert nvrtc.compiled == ["solve.cu"]
    assert compiler.kept_module("solve.cu", 4, (9, 0)) != path
    assert compiler.kept_module("solve.cu", 8, (8, 0)) != path
    monkeypatch.setattr(nvrtc, "getVersion", lambda: (12, 8))
    assert compiler.kept_module("solve.cu", 8, (9, 0)) != path


def test_a_cache_that_cannot_be_written_is_done_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cupy_on_host.install(monkeypatch)
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "other"))
    path = compiler.kept_module("pyramid.cu", 8, (9, 0))
    assert path.is_relative_to(tmp_path / "other")


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy_on_host.install(monkeypatch, count=2)
    with pytest.raises(UserError, match="device 2 is not there; this machine has GPUs 0 to 1"):
        gpu_cupy.open_device(2)
    cupy_on_host.install(monkeypatch, count=2, capability="61")
    forget()
    with pytest.raises(UserError, match=r"capability 6\.1; 7\.0 is needed"):
        gpu_cupy.open_device(1)


def test_a_forced_engine_says_why_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy_on_host.install(monkeypatch, count=0)
    frames, _ = moving(shift(1, 0.5), 30, 70)
    with pytest.raises(UserError, match="flow engine 'gpu' does not work here: no GPU found"):
        gpu.compute(frames, SMALL)
