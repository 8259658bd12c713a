"""TV-L1 on a GPU: CUDA C in `kernels/`, compiled on first use, many pairs at a time.

Imports with only NumPy installed; CuPy is imported when a GPU is asked for.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import MIN_SIDE, TVL1, checked_frames, flow_through
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
    queue = FlowQueue(_opened(device), params, quantizer)
    side = MIN_SIDE
    flow_through(queue, np.zeros((2, side, side), np.uint8), np.uint8)
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
    with FlowQueue(_opened(device), params or TVL1(), None, batch) as queue:
        return flow_through(queue, frames, np.float32)


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
    with FlowQueue(_opened(device), params, quantizer, batch) as queue:
        return flow_through(queue, frames, np.uint8)


def _opened(device: int | Device) -> Device:
    return open_device(device) if isinstance(device, int) else device
