"""One flow pair, or one frame, as bytes and back.

A codec is named by a short text that goes into the manifest: `jpeg:QUALITY`, `lossless`, `raw`,
`files` (storage/codec_files.py), and for frames also `none`. OpenCV decodes fastest of what is at
hand (docs/store.md); it is imported when the first item is coded, so that opening a store stays
cheap.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from storage.errors import StoreError, UserError

Bytes = bytes | memoryview


class Codec(Protocol):
    """Codes one item; what it decodes to has the item's shape."""

    def encode(self, item: NDArray[np.uint8]) -> bytes: ...

    def decode(self, data: Bytes, out: NDArray[np.uint8]) -> None:
        """Fill `out`, C-contiguous and of the item's shape."""


class Raw:
    """The bytes as they are."""

    def encode(self, item: NDArray[np.uint8]) -> bytes:
        return np.ascontiguousarray(item).tobytes()

    def decode(self, data: Bytes, out: NDArray[np.uint8]) -> None:
        if len(data) != out.size:
            raise StoreError(f"{len(data)} bytes were stored where {out.size} belong")
        out.reshape(-1)[:] = np.frombuffer(data, np.uint8)


class Lossless:
    """zstd of the difference to the pixel above, modulo 256."""

    def encode(self, item: NDArray[np.uint8]) -> bytes:
        import zstandard

        delta = item.copy()
        delta[:, 1:] -= item[:, :-1]
        return zstandard.ZstdCompressor(level=6).compress(delta.tobytes())

    def decode(self, data: Bytes, out: NDArray[np.uint8]) -> None:
        import zstandard

        try:
            plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=out.size)
        except zstandard.ZstdError as error:
            raise StoreError(f"a record does not decompress: {error}") from None
        if len(plain) != out.size:
            raise StoreError(f"{len(plain)} bytes were stored where {out.size} belong")
        np.cumsum(np.frombuffer(plain, np.uint8).reshape(out.shape), axis=1, out=out)


class JpegFlow:
    """One grey JPEG a pair: x above y, so that it is one image and one call."""

    def __init__(self, quality: int) -> None:
        self.quality = quality

    def encode(self, item: NDArray[np.uint8]) -> bytes:
        import cv2

        _, height, width = item.shape
        grey = np.ascontiguousarray(item).reshape(2 * height, width)
        done, data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        return bytes(data) if done else _refused(grey)

    def decode(self, data: Bytes, out: NDArray[np.uint8]) -> None:
        import cv2

        _, height, width = out.shape
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        if grey is None or grey.shape != (2 * height, width):
            raise StoreError(f"a flow record is no JPEG of {width}x{2 * height}")
        out.reshape(2 * height, width)[:] = grey


class JpegFrame:
    """One RGB JPEG a frame, chroma halved as usual."""

    def __init__(self, quality: int) -> None:
        self.quality = quality

    def encode(self, item: NDArray[np.uint8]) -> bytes:
        import cv2

        done, data = cv2.imencode(
            ".jpg", cv2.cvtColor(item, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, self.quality]
        )
        return bytes(data) if done else _refused(item)

    def decode(self, data: Bytes, out: NDArray[np.uint8]) -> None:
        import cv2

        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if image is None or image.shape != out.shape:
            raise StoreError(f"a frame record is no JPEG of {out.shape[1]}x{out.shape[0]}")
        out[:] = image


def _refused(item: NDArray[np.uint8]) -> bytes:
    raise UserError(f"an image of shape {item.shape} cannot be a JPEG; store it as `raw`")


def flow_codec(name: str) -> Codec:
    """The codec of a flow pair, uint8 (2, H, W)."""
    kind, _, setting = name.partition(":")
    if name == "raw":
        return Raw()
    if name == "lossless":
        return Lossless()
    if name == "files":
        from storage.codec_files import FlowFiles

        return FlowFiles()
    if kind == "jpeg" and setting.isascii() and setting.isdigit() and 1 <= int(setting) <= 100:
        return JpegFlow(int(setting))
    raise UserError(
        f"codec {name!r} is not known; choose jpeg:1 to jpeg:100, lossless, raw or files"
    )


def frame_codec(name: str) -> Codec | None:
    """The codec of a frame, uint8 (H, W, 3) RGB; None where no frames are stored."""
    kind, _, setting = name.partition(":")
    if name == "none":
        return None
    if name == "raw":
        return Raw()
    if name == "lossless":
        return Lossless()
    if name == "files":
        from storage.codec_files import FrameFiles

        return FrameFiles()
    if kind == "jpeg" and setting.isascii() and setting.isdigit() and 1 <= int(setting) <= 100:
        return JpegFrame(int(setting))
    raise UserError(
        f"frame codec {name!r} is not known; "
        "choose jpeg:1 to jpeg:100, lossless, raw, files or none"
    )
