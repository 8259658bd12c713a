"""One flow pair, or one frame, as bytes and back.

A codec is named by a short text that goes into the manifest:

    within:PIXELS   the cheapest of a ladder of codings that moves a pair's vectors by no more
                    than PIXELS on average; no pair is worse than that
    jpeg:QUALITY    one grey JPEG a pair, x above y
    half:QUALITY    the same of every second row and column, doubled again on reading
    lossless        zstd of the difference to the pixel above
    raw             the bytes as they are
    files           picture files as another tool wrote them (storage/codecs/files.py)
    none            frames only: none are stored

Coded pairs say themselves which of these they are, so one decoder reads them all. Why these, and
why OpenCV's decoder, is measured in docs/store.md; OpenCV is imported when the first item is
coded, so that opening a store stays cheap.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from storage.codecs.quantize import Quantizer
from storage.errors import StoreError, UserError

Codes = NDArray[np.uint8]
JPEG_MAGIC = b"\xff\xd8"


class Codec(Protocol):
    """Codes one item; what it decodes to has the item's shape."""

    def encode(self, item: Codes) -> bytes: ...

    def decode(self, data: bytes, out: Codes) -> None:
        """Fill `out`, C-contiguous and of the item's shape."""


class Raw:
    """The bytes as they are."""

    def encode(self, item: Codes) -> bytes:
        return item.tobytes()

    def decode(self, data: bytes, out: Codes) -> None:
        if len(data) != out.size:
            raise StoreError(f"{len(data)} bytes were stored where {out.size} belong")
        out.reshape(-1)[:] = np.frombuffer(data, np.uint8)


class Lossless:
    """zstd of the difference to the pixel above, modulo 256; in frames, to that on the left."""

    def encode(self, item: Codes) -> bytes:
        import zstandard

        delta = item.copy()
        delta[:, 1:] -= item[:, :-1]
        return zstandard.ZstdCompressor(level=6).compress(delta.tobytes())

    def decode(self, data: bytes, out: Codes) -> None:
        import zstandard

        try:
            plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=out.size)
        except zstandard.ZstdError as error:
            raise StoreError(f"a record does not decompress: {error}") from None
        if len(plain) != out.size:
            raise StoreError(f"{len(plain)} bytes were stored where {out.size} belong")
        delta = np.frombuffer(plain, np.uint8).reshape(out.shape)
        np.cumsum(delta, axis=1, dtype=np.uint8, out=out)


class Pair:
    """Reads every coding of a flow pair but `raw`; how to write one is its subclasses' part."""

    def decode(self, data: bytes, out: Codes) -> None:
        import cv2

        if data[:2] != JPEG_MAGIC:
            Lossless().decode(data, out)
            return
        _, height, width = out.shape
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        if grey is not None and grey.shape == (2 * height, width):
            out.reshape(2 * height, width)[:] = grey
        elif grey is not None and grey.shape == (2 * ((height + 1) // 2), (width + 1) // 2):
            double(grey.reshape(2, -1, grey.shape[1]), out)
        else:
            raise StoreError(f"a flow record is no JPEG of {width}x{2 * height}, nor of half that")


class Jpeg(Pair):
    """One grey JPEG a pair: x above y is one image and one call."""

    def __init__(self, quality: int) -> None:
        self.quality = quality

    def encode(self, item: Codes, small: bool = True) -> bytes:
        """Not `small`: quicker, and a fifth larger; what it decodes to is the same."""
        return jpeg(item.reshape(-1, item.shape[-1]), self.quality, small)


class Half(Pair):
    """The JPEG of half as many rows and columns: means of 2 x 2 codes."""

    def __init__(self, quality: int) -> None:
        self.quality = quality

    def encode(self, item: Codes, small: bool = True) -> bytes:
        return jpeg(np.concatenate([halve(plane) for plane in item]), self.quality, small)


class LosslessPair(Pair):
    """Writes what `Lossless` does."""

    def encode(self, item: Codes) -> bytes:
        return Lossless().encode(item)


HALVES = tuple(Half(quality) for quality in (80, 90, 95))
WHOLES = tuple(Jpeg(quality) for quality in (70, 80, 85, 90, 95))
"""What `within` tries, the cheapest to read first; what fails all of them is kept lossless."""


class Within(Pair):
    """The first of the ladder whose mean end-point error over the pair is small enough."""

    def __init__(self, pixels: float, quantizer: Quantizer) -> None:
        self.pixels = pixels
        self.table = quantizer.table

    def encode(self, item: Codes) -> bytes:
        codes = np.ascontiguousarray(item)
        codec = self._choose(codes)
        return codec.encode(codes)

    def _choose(self, codes: Codes) -> Codec:
        flow = self._flow(codes)
        decoded = np.empty_like(codes)

        def good(codec: Jpeg | Half) -> bool:
            codec.decode(codec.encode(codes, small=False), decoded)
            return self._error(decoded, flow) <= self.pixels

        if good(HALVES[0]):  # more than half of all pairs end here
            return HALVES[0]
        double(np.stack([halve(plane) for plane in codes]), decoded)
        if self._error(decoded, flow) <= self.pixels:  # what no quality can mend is small enough
            for half in HALVES[1:]:
                if good(half):
                    return half
        first = bisect_left(WHOLES, True, key=good)
        return WHOLES[first] if first < len(WHOLES) else Lossless()

    def _flow(self, codes: Codes) -> list[NDArray[np.float32]]:
        import cv2

        return [np.asarray(cv2.LUT(plane, self.table), np.float32) for plane in codes]

    def _error(self, decoded: Codes, flow: list[NDArray[np.float32]]) -> float:
        import cv2

        x, y = (a - b for a, b in zip(self._flow(decoded), flow, strict=True))
        return float(cv2.mean(cv2.magnitude(x, y))[0])


class JpegFrame:
    """One RGB JPEG a frame, chroma halved as usual."""

    def __init__(self, quality: int) -> None:
        self.quality = quality

    def encode(self, item: Codes) -> bytes:
        import cv2

        return jpeg(cv2.cvtColor(item, cv2.COLOR_RGB2BGR), self.quality)

    def decode(self, data: bytes, out: Codes) -> None:
        import cv2

        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if image is None or image.shape != out.shape:
            raise StoreError(f"a frame record is no JPEG of {out.shape[1]}x{out.shape[0]}")
        out[:] = image


def jpeg(image: Codes, quality: int, small: bool = True) -> bytes:
    """Grey or BGR; `small` makes Huffman tables for the image instead of the usual ones."""
    import cv2

    if max(image.shape[:2]) > 65500:
        raise UserError(
            f"an image of {image.shape[1]}x{image.shape[0]} is too large for JPEG; "
            "store it as `lossless` or `raw`"
        )
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, int(small)]
    done, data = cv2.imencode(".jpg", image, options)
    if not done:
        raise UserError(f"an image of shape {image.shape} cannot be coded as JPEG")
    return bytes(data)


def halve(plane: Codes) -> Codes:
    """(H, W) -> means of 2 x 2, (ceil(H / 2), ceil(W / 2)); an odd last row or column repeats."""
    import cv2

    height, width = plane.shape
    if height % 2 or width % 2:
        plane = np.pad(plane, ((0, height % 2), (0, width % 2)), "edge")
    half = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.uint8)


def double(half: Codes, out: Codes) -> None:
    """Every value of (2, h, w) four times into (2, H, W), where h and w are the halves."""
    planes, height, width = out.shape
    if height % 2 or width % 2:
        out[:] = half.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
        return
    twice = half.astype(np.uint16)
    twice *= 0x0101  # two equal bytes: 3 times as fast as repeating
    rows = out.view(np.uint16).reshape(planes, height // 2, 2, width // 2)
    rows[:] = twice[:, :, None]


def flow_codec(name: str, quantizer: Quantizer | None = None) -> Codec:
    """The codec of a flow pair, uint8 (2, H, W); `within` measures in the quantiser's pixels."""
    kind, _, setting = name.partition(":")
    if name == "raw":
        return Raw()
    if name == "lossless":
        return LosslessPair()
    if name == "files":
        from storage.codecs.files import FlowFiles

        return FlowFiles()
    if kind in ("jpeg", "half") and is_quality(setting):
        return Jpeg(int(setting)) if kind == "jpeg" else Half(int(setting))
    if kind == "within":
        try:
            pixels = float(setting)
        except ValueError:
            pixels = -1.0
        if 0 <= pixels < np.inf:
            return Within(pixels, quantizer or Quantizer())
    raise UserError(
        f"codec {name!r} is not known; choose within:PIXELS such as within:0.08, jpeg:1 to "
        "jpeg:100, half:1 to half:100, lossless, raw or files"
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
        from storage.codecs.files import FrameFiles

        return FrameFiles()
    if kind == "jpeg" and is_quality(setting):
        return JpegFrame(int(setting))
    raise UserError(
        f"frame codec {name!r} is not known; "
        "choose jpeg:1 to jpeg:100, lossless, raw, files or none"
    )


def is_quality(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= 100
