"""TV-L1 on a GPU: CUDA C in `kernels/`, compiled on first use, many pairs at a time.

Imports with only NumPy installed; CuPy is imported when a GPU is asked for.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import MIN_SIDE, TVL1, FlowRequest, checked_frames
from flow.tvl1.gpu.cupy_device import count_devices, cupy_version, device_status, open_device
from flow.tvl1.gpu.device import Device
from flow.tvl1.gpu.stream import FlowQueue
from storage.codecs import Quantizer


def status(params: TVL1 | None = None) -> str:
    """`ok`, or why no GPU can be used here."""
    return device_status()


def version() -> str:
    return f"cupy {cupy_version()}"


def devices() -> list[str]:
    """The GPUs that this process may see, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = count_devices()
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]


def open_queue(params: TVL1, quantizer: Quantizer, *, device: int | Device = 0) -> FlowQueue:
    """A queue for requests of any size, its kernels compiled and tried on the smallest frames."""
    opened = open_device(device) if isinstance(device, int) else device
    queue = FlowQueue(opened, params, quantizer)
    side = MIN_SIDE
    codes = np.empty((1, 2, side, side), np.uint8)
    queue.put(FlowRequest(np.zeros((2, side, side), np.uint8), codes))
    queue.finished(wait=True)
    return queue


def compute(
    frames: NDArray[np.uint8],
    params: TVL1 | None = None,
    threads: int = 1,
    *,
    device: int | Device = 0,
    batch: int | None = None,
) -> NDArray[np.float32]:
    """uint8 (N, H, W) -> float32 (N-1, 2, H, W), x then y, in pixels.

    `device` is the number of a GPU. `batch` is the most pairs at a time; by default free memory
    decides. `threads` is for engines on the processor.
    """
    frames = checked_frames(frames)
    flow = np.empty((len(frames) - 1, 2, *frames.shape[1:]), np.float32)
    _stream_into(flow, frames, params or TVL1(), None, device, batch)
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
    _stream_into(codes, frames, params, quantizer, device, batch)
    return codes


def _stream_into(
    out: NDArray[np.float32 | np.uint8],
    frames: NDArray[np.uint8],
    params: TVL1,
    quantizer: Quantizer | None,
    device: int | Device,
    batch: int | None,
) -> None:
    """Fill `out` with the flow of all pairs, or with its codes."""
    opened = open_device(device) if isinstance(device, int) else device
    with FlowQueue(opened, params, quantizer, batch) as queue:
        queue.put(FlowRequest(frames, out))
        for request in queue.finished(wait=True):
            if request.error is not None:
                raise request.error
