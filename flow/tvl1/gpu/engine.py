"""TV-L1 on a GPU: CUDA C in `flow/kernels`, compiled on first use, many pairs at a time.

Imports with only NumPy installed; CuPy is imported when a GPU is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import TVL1, checked_frames
from flow.tvl1.gpu.cupy_device import open_device, status
from flow.tvl1.gpu.device import Device
from flow.tvl1.gpu.stream import stream_flow
from storage.codecs import Quantizer

__all__ = ["compute", "compute_codes", "status", "stream_codes"]


def compute(
    frames: NDArray[np.uint8],
    params: TVL1 | None = None,
    *,
    device: int | Device = 0,
    batch: int | None = None,
) -> NDArray[np.float32]:
    """uint8 (N, H, W) -> float32 (N-1, 2, H, W), x then y, in pixels.

    `device` is the number of a GPU. `batch` is the most pairs at a time; by default free memory
    decides.
    """
    frames = checked_frames(frames)
    flow = np.empty((len(frames) - 1, 2, *frames.shape[1:]), np.float32)
    _collect(flow, stream_flow(_opened(device), frames, params or TVL1(), None, batch=batch))
    return flow


def compute_codes(
    frames: NDArray[np.uint8],
    params: TVL1,
    quantizer: Quantizer,
    *,
    device: int | Device = 0,
    batch: int | None = None,
) -> NDArray[np.uint8]:
    """uint8 (N, H, W) -> uint8 (N-1, 2, H, W): `quantizer.quantize` of the flow, by the GPU."""
    frames = checked_frames(frames)
    codes = np.empty((len(frames) - 1, 2, *frames.shape[1:]), np.uint8)
    _collect(codes, stream_flow(_opened(device), frames, params, quantizer, batch=batch))
    return codes


def stream_codes(
    frames: Iterable[NDArray[np.uint8]],
    params: TVL1,
    quantizer: Quantizer,
    *,
    step: int = 1,
    backward: bool = False,
    device: int | Device = 0,
    batch: int | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """uint8 (H, W) frames, as they are decoded -> uint8 (n, 2, H, W) codes, in order.

    The GPU computes one batch while the next is taken from `frames`; memory does not grow with
    the length of the video. Pair i is of frames i and i + step; `backward` is the flow from the
    later to the earlier.
    """
    for codes in stream_flow(
        _opened(device), frames, params, quantizer, step=step, backward=backward, batch=batch
    ):
        yield codes.astype(np.uint8, copy=False)


def _opened(device: int | Device) -> Device:
    return open_device(device) if isinstance(device, int) else device


def _collect(whole: NDArray, parts: Iterable[NDArray]) -> None:
    at = 0
    for part in parts:
        whole[at : at + len(part)] = part
        at += len(part)
