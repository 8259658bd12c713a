"""The forms in which other tools keep a video's flow, all read as pairs of codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.codecs import Quantizer
from storage.convert.flow_files import FlowTable, decode_colour_png, open_array, read_flo
from storage.convert.foreign_files import decode_picture
from storage.errors import UserError


@dataclass(frozen=True)
class Pair:
    """One flow, as the bytes of its two pictures or as codes uint8 (2, H, W)."""

    codes: NDArray[np.uint8]
    files: tuple[bytes, bytes] | None = None


class Sequence:
    def __len__(self) -> int:
        raise NotImplementedError

    def read(self) -> Iterator[Pair]:
        raise NotImplementedError


class Pictures(Sequence):
    """x and y as grey pictures of codes."""

    def __init__(self, names: list[tuple[str, str]], read: Callable[[int, str], bytes]) -> None:
        self._names = names
        self._read = read

    def __len__(self) -> int:
        return len(self._names)

    def read(self) -> Iterator[Pair]:
        for names in self._names:
            data = tuple(self._read(side, name) for side, name in enumerate(names))
            x, y = (
                decode_picture(picture, name, color=False)
                for picture, name in zip(data, names, strict=True)
            )
            if x.shape != y.shape:
                raise UserError(
                    f"{names[0]} is {_size(x)} and {names[1]} is {_size(y)}; they must be equal"
                )
            yield Pair(np.stack([x, y]), (data[0], data[1]))


class Single(Sequence):
    """Both components in one file: `.flo`, or denseflow's colour PNG."""

    def __init__(
        self, names: list[str], read: Callable[[str], bytes], quantizer: Quantizer
    ) -> None:
        self._names = names
        self._read = read
        self._quantizer = quantizer

    def __len__(self) -> int:
        return len(self._names)

    def read(self) -> Iterator[Pair]:
        for name in self._names:
            data = self._read(name)
            if name.lower().endswith(".flo"):
                flow = read_flo(data, name)
            else:
                flow = decode_colour_png(decode_picture(data, name, color=True))
            yield Pair(_quantized(flow, name, self._quantizer))


class Table(Sequence):
    def __init__(self, table: FlowTable, quantizer: Quantizer) -> None:
        self._table = table
        self._quantizer = quantizer

    def __len__(self) -> int:
        return len(self._table.numbers["x"])

    def read(self) -> Iterator[Pair]:
        for number, name in sorted(self._table.numbers["x"].items()):
            x = self._table.read(name)
            y = self._table.read(self._table.numbers["y"][number])
            if x.shape != y.shape:
                raise UserError(f"{name} is {_size(x)} and its y is {_size(y)}")
            yield Pair(_quantized(np.stack([x, y]), name, self._quantizer))


class ArrayFile(Sequence):
    def __init__(self, path: Path, scale: float, quantizer: Quantizer) -> None:
        self._array = open_array(path, scale)
        self._name = path.name
        self._quantizer = quantizer

    def __len__(self) -> int:
        return len(self._array)

    def read(self) -> Iterator[Pair]:
        for values in self._array:
            if self._array.coded:
                yield Pair(values)
            else:
                yield Pair(_quantized(values, self._name, self._quantizer))


def _quantized(flow: NDArray[np.float32], name: str, quantizer: Quantizer) -> NDArray[np.uint8]:
    if not np.isfinite(flow).all():
        raise UserError(f"{name} holds NaN or infinite flow")
    return quantizer.quantize(flow)


def _size(plane: NDArray[Any]) -> str:
    return f"{plane.shape[1]}x{plane.shape[0]}"
