"""A stand-in for an OpenCV that was built with CUDA, with the interface that is used.

"Device" memory is host memory with padded rows, as a GpuMat has them; flow comes from the NumPy
reference.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.tvl1.params import TVL1
from flow.tvl1.reference import compute as reference

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
