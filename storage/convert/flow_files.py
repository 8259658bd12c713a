"""Float flow in files: Middlebury `.flo`, `.npy` arrays, denseflow's HDF5 and its colour PNG."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError
from storage.hdf5 import FAULTS, Hdf5File

FLO_MAGIC = 202021.25
UNKNOWN = 1e9
"""Middlebury marks a pixel without truth by a larger value."""


def read_flo(data: bytes, name: str = ".flo") -> NDArray[np.float32]:
    """Bytes of a Middlebury file -> float32 (2, H, W), pixels. Unknown flow is refused."""
    if len(data) < 12 or np.frombuffer(data[:4], "<f4")[0] != np.float32(FLO_MAGIC):
        raise UserError(f"{name} does not begin as a .flo file does")
    width, height = (int(v) for v in np.frombuffer(data[4:12], "<i4"))
    if width < 1 or height < 1 or len(data) != 12 + 8 * width * height:
        raise UserError(f"{name} has {len(data):,} bytes, which do not make {width}x{height} flow")
    flow = np.frombuffer(data[12:], "<f4").reshape(height, width, 2)
    if not (np.abs(flow) < UNKNOWN).all():
        raise UserError(f"{name} holds unknown flow (values over 1e9 or NaN)")
    return np.ascontiguousarray(flow.transpose(2, 0, 1))


def decode_colour_png(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """denseflow's `-st=png`, uint8 (H, W, 3) RGB -> float32 (2, H, W), pixels.

    Blue holds 128 + 128 x / Bx and green 128 + 128 y / By. Red holds Bx / 4 in the upper half of
    the rows and By / 4 in the lower one: every image has bounds of its own.
    """
    bounds = rgb[0, 0, 0] * 4.0, rgb[-1, 0, 0] * 4.0
    planes = [
        (rgb[..., channel] - np.float32(128)) * np.float32(bound / 128)
        for channel, bound in ((2, bounds[0]), (1, bounds[1]))
    ]
    return np.stack(planes).astype(np.float32)


@dataclass(frozen=True)
class FlowArray:
    """A video's flow in one `.npy`: (N, H, W, 2), (1, N, H, W, 2) or (N, 2, H, W)."""

    values: NDArray[Any]
    """Mapped from the file, not read."""
    channels_last: bool
    scale: float
    """What a float must be multiplied by to give pixels."""

    @property
    def coded(self) -> bool:
        return self.values.dtype == np.uint8

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """uint8 codes or float32 pixels (2, H, W), pair by pair."""
        for pair in self.values:
            planes = np.moveaxis(pair, -1, 0) if self.channels_last else pair
            if self.coded:
                yield np.ascontiguousarray(planes)
            else:
                yield np.ascontiguousarray(planes, np.float32) * np.float32(self.scale)


def open_array(path: Path, scale: float = 1.0) -> FlowArray:
    """Map a `.npy`. A shape or type that cannot be flow is refused by name."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path.name} cannot be read as an array ({error})") from error
    if values.ndim == 5 and values.shape[0] == 1:
        values = values[0]
    shape = values.shape
    if values.ndim != 4 or 2 not in (shape[3], shape[1]) or 0 in shape:
        raise UserError(f"{path.name} has shape {shape}; flow is (N, H, W, 2) or (N, 2, H, W)")
    if values.dtype != np.uint8 and values.dtype.kind != "f":
        raise UserError(f"{path.name} holds {values.dtype}; flow is uint8 codes or floats")
    return FlowArray(values, channels_last=shape[3] == 2, scale=scale)


MAX_BYTES = 800_000_000
"""Of one HDF5 data set, unpacked: 100 million pixels in double precision."""
EXPANSION, LEAST_BUDGET = 100, 256 << 20
"""All data sets of a file together may take so many times its size, or so many bytes. Flow that
is packed as HDF5 can is a tenth of its size at best, but rest alone can be less."""

_DATASET = re.compile(r"flow_(?P<c>[xy])(?:_[pm]\d+)?_(?P<n>\d+)$")


class FlowTable:
    """denseflow's HDF5: float datasets `flow_x_00000`, `flow_y_00000`, ..., (H, W), pixels."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rest = max(LEAST_BUDGET, EXPANSION * os.path.getsize(path))
        self._file = Hdf5File(path, self._take)
        self.numbers: dict[str, dict[int, str]] = {"x": {}, "y": {}}
        """Dataset names by component and number."""
        for name in self._file.names():
            match = _DATASET.match(name)
            if match:
                self.numbers[match["c"]][int(match["n"])] = name

    def _take(self, size: int) -> None:
        self._rest -= size
        if size > MAX_BYTES or self._rest < 0:
            raise UserError(
                f"{self.path.name} would unpack to more than a file of its size can hold; "
                "it is not read"
            )

    def read(self, name: str) -> NDArray[np.float32]:
        """One dataset as float32 (H, W)."""
        try:
            dataset = self._file.dataset(name)
            if dataset is None:
                raise ValueError("it does not lie in this file itself")
            if len(dataset.shape) != 2 or 0 in dataset.shape:
                raise ValueError(f"its shape is {dataset.shape}, not (H, W)")
            return np.asarray(dataset[()], np.float32)
        except UserError:
            raise
        except FAULTS as error:
            raise UserError(f"{name} in {self.path.name} cannot be read ({error})") from error

    def close(self) -> None:
        self._file.close()
