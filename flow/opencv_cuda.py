"""OpenCV's CUDA TV-L1, for an OpenCV that was built with it; codes are made on the device.

A GpuMat and a CuPy array are two views of the same device memory, so between the flow and its
codes nothing goes through the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.gpu_source import source
from flow.params import TVL1
from flow.thresholds import code_thresholds
from storage.errors import UserError
from storage.quantize import Quantizer

THREADS = 256


def compute_on_device(frames: NDArray[np.uint8], params: TVL1) -> NDArray[np.float32]:
    """uint8 (N, H, W) -> float32 (N-1, 2, H, W)."""
    out = np.empty((len(frames) - 1, 2, *frames.shape[1:]), np.float32)
    for i, flow in enumerate(flows_on_device(frames, params)):
        out[i] = flow.download().transpose(2, 0, 1)
    return out


def codes_on_device(
    frames: NDArray[np.uint8], params: TVL1, quantizer: Quantizer
) -> NDArray[np.uint8]:
    """uint8 (N, H, W) -> codes (N-1, 2, H, W)."""
    cupy = import_cupy()
    height, width = frames.shape[1:]
    blocks = -(-height * width // THREADS)
    # OpenCV works on the null stream when it is given none; so must what reads its results.
    with cupy.cuda.Stream.null:
        thresholds = cupy.asarray(code_thresholds(quantizer))
        codes = cupy.empty((len(frames) - 1, 2, height, width), np.uint8)
        for i, flow in enumerate(flows_on_device(frames, params)):
            pixels = seen_by_cupy(cupy, flow, height, width)
            sizes = (np.uint64(pixels.strides[0]), np.int32(height), np.int32(width))
            kernel()((blocks,), (THREADS,), (pixels, *sizes, thresholds, codes[i]))
        return np.asarray(cupy.asnumpy(codes), np.uint8)


def flows_on_device(frames: NDArray[np.uint8], params: TVL1) -> Iterator[Any]:
    """The flow of each pair as a GpuMat, CV_32FC2; each is overwritten by the next."""
    import cv2

    cuda: Any = cv2.cuda  # the type stubs know the CPU build alone
    method = cuda.OpticalFlowDual_TVL1_create(
        tau=params.tau,
        lambda_=params.lambda_,
        theta=params.theta,
        nscales=params.scales,
        warps=params.warps,
        epsilon=params.epsilon,
        iterations=params.inner,
        scaleStep=params.scale_step,
    )
    first, second, flow = cuda.GpuMat(), cuda.GpuMat(), cuda.GpuMat()
    first.upload(frames[0])
    for frame in frames[1:]:
        second.upload(frame)
        flow = method.calc(first, second, flow)
        yield flow
        first, second = second, first


def seen_by_cupy(cupy: Any, flow: Any, height: int, width: int) -> Any:
    """The memory of a CV_32FC2 GpuMat as a CuPy array (H, W, 2), float32; nothing is copied."""
    owned = cupy.cuda.UnownedMemory(flow.cudaPtr(), flow.step * height, flow)
    start = cupy.cuda.MemoryPointer(owned, 0)
    return cupy.ndarray((height, width, 2), np.float32, start, (flow.step, 8, 4))


@lru_cache(maxsize=1)
def kernel() -> Any:
    return import_cupy().RawModule(code=source("opencv_codes.cu")).get_function("opencv_codes")


def import_cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise UserError(
            f"CuPy is needed to make codes where OpenCV left the flow ({error}); "
            "pip install 'twostream[cuda12]' or 'twostream[cuda13]', as the driver has"
        ) from error
    return cupy
