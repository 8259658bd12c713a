"""The forms in which other tools keep a video's flow, all read as pairs of codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from storage.codecs import Quantizer
from storage.convert.flow_files import FlowArray, FlowTable, decode_colour_png, read_flo
from storage.convert.foreign_files import decode_picture
from storage.errors import UserError


@dataclass(frozen=True)
class ForeignPair:
    """One flow, as the bytes of its two pictures or as codes uint8 (2, H, W)."""

    codes: NDArray[np.uint8]
    files: tuple[bytes, bytes] | None = None


class PairForm(Protocol):
    """The pairs of one video, in order."""

    def __len__(self) -> int: ...

    def read(self) -> Iterator[ForeignPair]: ...


@dataclass
class PicturePairs:
    """x and y as grey pictures of codes."""

    names: list[tuple[str, str]]
    read_file: Callable[[int, str], bytes]
    """(0 for x or 1 for y, the file's name) -> its bytes."""

    def __len__(self) -> int:
        return len(self.names)

    def read(self) -> Iterator[ForeignPair]:
        for names in self.names:
            data = tuple(self.read_file(side, name) for side, name in enumerate(names))
            x, y = (
                decode_picture(picture, name, color=False)
                for picture, name in zip(data, names, strict=True)
            )
            if x.shape != y.shape:
                raise UserError(
                    f"{names[0]} is {_size(x)} and {names[1]} is {_size(y)}; they must be equal"
                )
            yield ForeignPair(np.stack([x, y]), (data[0], data[1]))


@dataclass
class FilePairs:
    """Both components in one file: `.flo`, or denseflow's colour PNG."""

    names: list[str]
    read_file: Callable[[str], bytes]
    quantizer: Quantizer

    def __len__(self) -> int:
        return len(self.names)

    def read(self) -> Iterator[ForeignPair]:
        for name in self.names:
            data = self.read_file(name)
            if name.lower().endswith(".flo"):
                flow = read_flo(data, name)
            else:
                flow = decode_colour_png(decode_picture(data, name, color=True))
            yield ForeignPair(_quantized(flow, name, self.quantizer))


@dataclass
class TablePairs:
    """x and y as datasets of an HDF5 file."""

    table: FlowTable
    quantizer: Quantizer

    def __len__(self) -> int:
        return len(self.table.numbers["x"])

    def read(self) -> Iterator[ForeignPair]:
        for number, name in sorted(self.table.numbers["x"].items()):
            x = self.table.read(name)
            y = self.table.read(self.table.numbers["y"][number])
            if x.shape != y.shape:
                raise UserError(f"{name} is {_size(x)} and its y is {_size(y)}")
            yield ForeignPair(_quantized(np.stack([x, y]), name, self.quantizer))


@dataclass
class ArrayPairs:
    """A video's flow as one array."""

    name: str
    array: FlowArray
    quantizer: Quantizer

    def __len__(self) -> int:
        return len(self.array)

    def read(self) -> Iterator[ForeignPair]:
        for values in self.array:
            if self.array.coded:
                yield ForeignPair(values)
            else:
                yield ForeignPair(_quantized(values, self.name, self.quantizer))


def _quantized(flow: NDArray[np.float32], name: str, quantizer: Quantizer) -> NDArray[np.uint8]:
    if not np.isfinite(flow).all():
        raise UserError(f"{name} holds NaN or infinite flow")
    return quantizer.quantize(flow)


def _size(plane: NDArray[np.generic]) -> str:
    return f"{plane.shape[1]}x{plane.shape[0]}"
