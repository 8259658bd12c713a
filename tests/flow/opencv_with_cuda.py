"""Stand-ins for an OpenCV that was built with CUDA and for CuPy, with the interfaces that are used.

"Device" memory is host memory with padded rows, as a GpuMat has them; flow comes from the NumPy
reference; kernels are the very .cu files, compiled by the system's C++ compiler.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.params import TVL1
from flow.reference import compute as reference

PADDING = 512


class GpuMat:
    """uint8 or float32 (H, W[, C]) in rows that are `step` bytes apart."""

    def __init__(self) -> None:
        self.memory = np.empty((0, 0), np.uint8)
        self.shape: tuple[int, ...] = (0, 0)
        self.dtype = np.dtype(np.uint8)
        self.downloads = 0

    @property
    def step(self) -> int:
        return self.memory.shape[1]

    def upload(self, data: NDArray[Any]) -> None:
        row = data[0].nbytes
        self.memory = np.full((len(data), -(-row // PADDING) * PADDING), 0xCD, np.uint8)
        self.memory[:, :row] = np.ascontiguousarray(data).view(np.uint8).reshape(len(data), row)
        self.shape, self.dtype = data.shape, data.dtype

    def download(self) -> NDArray[Any]:
        self.downloads += 1
        row = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        return np.ascontiguousarray(self.memory[:, :row]).view(self.dtype).reshape(self.shape)

    def cudaPtr(self) -> int:
        return self.memory.ctypes.data


class DualTVL1:
    def __init__(self, **options: Any) -> None:
        self.params = TVL1(
            tau=options["tau"],
            lambda_=options["lambda_"],
            theta=options["theta"],
            scales=options["nscales"],
            warps=options["warps"],
            epsilon=options["epsilon"],
            inner=options["iterations"],
            scale_step=options["scaleStep"],
        )

    def calc(self, first: GpuMat, second: GpuMat, flow: GpuMat) -> GpuMat:
        pair = np.stack([first.download(), second.download()])
        flow.upload(reference(pair, self.params)[0].transpose(1, 2, 0))
        return flow


def cuda_module(devices: int = 1) -> SimpleNamespace:
    """What `cv2.cuda` is in such a build."""
    return SimpleNamespace(
        GpuMat=GpuMat,
        OpticalFlowDual_TVL1_create=DualTVL1,
        getCudaEnabledDeviceCount=lambda: devices,
    )


class Kernel:
    """A compiled kernel, launched as CuPy launches it, one thread after another."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library

    def __call__(self, grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
        flow, pitch, height, width, thresholds, codes = arguments
        # CuPy passes NumPy scalars by their own size: these are what the kernel declares.
        assert [type(a) for a in (pitch, height, width)] == [np.uint64, np.int32, np.int32]
        assert thresholds.dtype == np.float32
        assert codes.flags.c_contiguous
        self.library.run(
            *(ctypes.c_uint(n) for n in (grid[0], block[0])),
            ctypes.c_void_p(flow.ctypes.data),
            ctypes.c_size_t(int(pitch)),
            *(ctypes.c_int(int(n)) for n in (height, width)),
            *(ctypes.c_void_p(a.ctypes.data) for a in (thresholds, codes)),
        )


SHIM = """
#include <cstddef>
#define __global__
#define __device__
#define __forceinline__ inline
struct uint3 { unsigned x, y, z; };
static uint3 blockIdx, blockDim, threadIdx;
%s
extern "C" void run(unsigned blocks, unsigned threads, const char* flow, size_t pitch, int height,
                    int width, const float* thresholds, unsigned char* codes)
{
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x)
            opencv_codes(flow, pitch, height, width, thresholds, codes);
}
"""


def compiler() -> str | None:
    return shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")


def cupy_module(folder: Path) -> SimpleNamespace:
    """What is used of `cupy`, over host memory; kernels are compiled in `folder`."""

    class RawModule:
        def __init__(self, code: str) -> None:
            (folder / "shim.cpp").write_text(SHIM % code)
            command = [str(compiler()), "-O1", "-shared", "-fPIC", "-o", "shim.so", "shim.cpp"]
            subprocess.run(command, cwd=folder, check=True)
            self.library = ctypes.CDLL(str(folder / "shim.so"))

        def get_function(self, name: str) -> Kernel:
            assert name == "opencv_codes"
            return Kernel(self.library)

    class UnownedMemory:
        def __init__(self, address: int, size: int, owner: Any) -> None:
            self.data = (ctypes.c_char * size).from_address(address)
            self.owner = owner

    class Null:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    def view(shape: tuple[int, ...], dtype: Any, start: Any, strides: Any) -> NDArray[Any]:
        return np.ndarray(shape, dtype, start.data, 0, strides)

    return SimpleNamespace(
        cuda=SimpleNamespace(
            UnownedMemory=UnownedMemory,
            MemoryPointer=lambda memory, offset: memory,
            Stream=SimpleNamespace(null=Null()),
        ),
        ndarray=view,
        empty=np.empty,
        asarray=np.asarray,
        asnumpy=np.asarray,
        RawModule=RawModule,
    )
