"""TV-L1 by OpenCV itself: the CPU version, and the CUDA version where OpenCV was built with it.

The two are different definitions (`params`), so this engine gives preset `opencv-cuda` only by
OpenCV's CUDA code and preset `opencv-cpu` only by its CPU code; it never passes one off as the
other. The ordinary opencv-contrib-python wheel has the CPU version alone.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.tvl1.frames import checked_frames
from flow.tvl1.pairs import Pair, pairwise
from flow.tvl1.params import TVL1
from storage.errors import UserError

open_queue = None


def version() -> str:
    import cv2

    return f"OpenCV {cv2.__version__}"


def devices() -> list[str]:
    return []


def status(params: TVL1 | None = None) -> str:
    """ "ok", or why OpenCV as it is installed does not compute flow with these parameters."""
    try:
        import cv2
    except ImportError as error:
        return f"OpenCV cannot be imported ({error}); pip install opencv-contrib-python"
    params = params or TVL1()
    if params.dialect == "opencv-cuda":
        return cuda_status(cv2, params)
    if not hasattr(cv2, "optflow"):
        return (
            f"OpenCV {cv2.__version__} here has no optflow module; "
            "pip uninstall opencv-python, then pip install opencv-contrib-python"
        )
    return "ok"


def cuda_status(cv2: ModuleType, params: TVL1) -> str:
    """ "ok", or why OpenCV's CUDA version does not work here."""
    if not hasattr(cv2.cuda, "OpticalFlowDual_TVL1_create"):
        return (
            f"OpenCV {cv2.__version__} here was built without CUDA, and its CPU version is another "
            "definition (choose preset opencv-cpu for that; engines gpu and cpu need no such build)"
        )
    if cv2.cuda.getCudaEnabledDeviceCount() < 1:
        return "OpenCV was built with CUDA, but finds no device"
    if params.outer != 1 or params.median != 0:
        return (
            f"OpenCV's CUDA version has no median filter (outer is {params.outer}, "
            f"median is {params.median}; it takes 1 and 0)"
        )
    return "ok"


def compute(
    frames: NDArray[np.uint8], params: TVL1 | None = None, threads: int = 1
) -> NDArray[np.float32]:
    """uint8 (N, H, W) -> float32 (N-1, 2, H, W). `threads` is for the CPU version."""
    frames, params = checked_frames(frames), params or TVL1()
    reason = status(params)
    if reason != "ok":
        raise UserError(f"flow engine 'opencv' does not work here: {reason}")
    if params.dialect == "opencv-cuda":
        return compute_on_device(frames, params)
    return compute_on_cpu(frames, params, threads)


def compute_on_cpu(
    frames: NDArray[np.uint8], params: TVL1, threads: int = 1
) -> NDArray[np.float32]:
    """The flow of `cv2.optflow.DualTVL1OpticalFlow`."""
    import cv2

    def make_pair() -> Pair:
        method = cv2.optflow.DualTVL1OpticalFlow.create(
            tau=params.tau,
            lambda_=params.lambda_,
            theta=params.theta,
            nscales=params.scales,
            warps=params.warps,
            epsilon=params.epsilon,
            innnerIterations=params.inner,  # so it is spelt there
            outerIterations=params.outer,
            scaleStep=params.scale_step,
            medianFiltering=params.median or 1,
        )
        return lambda first, second: method.calc(first, second, None)

    return pairwise(frames, make_pair, threads)


def compute_on_device(frames: NDArray[np.uint8], params: TVL1) -> NDArray[np.float32]:
    """The flow of `cv2.cuda.OpticalFlowDual_TVL1`."""
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
    out = np.empty((len(frames) - 1, 2, *frames.shape[1:]), np.float32)
    first, second, flow = cuda.GpuMat(), cuda.GpuMat(), cuda.GpuMat()
    first.upload(frames[0])
    for pair, frame in zip(out, frames[1:], strict=True):
        second.upload(frame)
        flow = method.calc(first, second, flow)
        pair[:] = flow.download().transpose(2, 0, 1)
        first, second = second, first
    return out
