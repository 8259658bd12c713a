"""Pictures kept as the files they came in: the codec of imported flow and frames.

Another tool's JPEGs are not coded a second time, and an export gives their very bytes back. A pair
is `u32 length of x's file`, x's file, y's file. What has no file of its own becomes a PNG.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from storage.codecs.pictures import decode_file, encode_png
from storage.errors import StoreError

_LENGTH = struct.Struct("<I")


def join_files(x: bytes, y: bytes) -> bytes:
    """Two files as one item."""
    return _LENGTH.pack(len(x)) + x + y


def split_files(data: bytes | memoryview) -> tuple[bytes, bytes]:
    """The two files of one item."""
    if len(data) < _LENGTH.size:
        raise StoreError("a pair of files is cut short")
    cut = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    if cut > len(data):
        raise StoreError("a pair of files is cut short")
    return bytes(data[_LENGTH.size : cut]), bytes(data[cut:])


class FlowFiles:
    """One grey picture file for x and one for y."""

    def encode(self, item: NDArray[np.uint8]) -> bytes:
        return join_files(encode_png(item[0]), encode_png(item[1]))

    def decode(self, data: bytes | memoryview, out: NDArray[np.uint8]) -> None:
        for plane, file in zip(out, split_files(data), strict=True):
            _decode_into(file, plane)


class FrameFiles:
    """One RGB picture file."""

    def encode(self, item: NDArray[np.uint8]) -> bytes:
        return encode_png(item)

    def decode(self, data: bytes | memoryview, out: NDArray[np.uint8]) -> None:
        _decode_into(data, out)


def _decode_into(file: bytes | memoryview, out: NDArray[np.uint8]) -> None:
    try:
        picture = decode_file(file, grey=out.ndim == 2)
    except ValueError as error:
        raise StoreError(f"a stored file is no picture ({error})") from None
    if picture.shape != out.shape:
        raise StoreError(f"a stored file is no picture of {out.shape[1]}x{out.shape[0]}")
    out[:] = picture
