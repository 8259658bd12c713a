"""Pictures kept as the files they came in: the codec of imported flow and frames.

Another tool's JPEGs are not coded a second time, and an export gives their very bytes back. A pair
is `u32 length of x's file`, x's file, y's file. What has no file of its own becomes a PNG.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

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
        return join_files(_png(item[0]), _png(item[1]))

    def decode(self, data: bytes | memoryview, out: NDArray[np.uint8]) -> None:
        for plane, file in zip(out, split_files(data), strict=True):
            _into(file, plane)


class FrameFiles:
    """One RGB picture file."""

    def encode(self, item: NDArray[np.uint8]) -> bytes:
        import cv2

        return _png(cv2.cvtColor(item, cv2.COLOR_RGB2BGR))

    def decode(self, data: bytes | memoryview, out: NDArray[np.uint8]) -> None:
        _into(data, out)


def _png(picture: NDArray[np.uint8]) -> bytes:
    import cv2

    done, data = cv2.imencode(".png", picture)
    if not done:
        raise StoreError(f"an image of shape {picture.shape} cannot be a PNG")
    return bytes(data)


def _into(file: bytes | memoryview, out: NDArray[np.uint8]) -> None:
    import cv2

    kind = cv2.IMREAD_GRAYSCALE if out.ndim == 2 else cv2.IMREAD_COLOR_RGB
    try:
        picture = cv2.imdecode(np.frombuffer(file, np.uint8), kind | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise StoreError(f"a stored file is no picture ({error.err})") from None
    if picture is None or picture.shape != out.shape:
        raise StoreError(f"a stored file is no picture of {out.shape[1]}x{out.shape[0]}")
    out[:] = picture
