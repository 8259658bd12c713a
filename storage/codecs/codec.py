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

Each item of a pair says which of these it is, so one decoder reads all but `raw` and `files`.
docs/store.md has the measurements behind these choices. OpenCV is imported when the first item is
coded, so that opening a store stays cheap.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from storage.codecs.files import FlowFiles, FrameFiles
from storage.codecs.pictures import JPEG_MAGIC, decode_file, encode_jpeg, quality_of
from storage.codecs.quantize import Quantizer
from storage.errors import StoreError, UserError

Codes = NDArray[np.uint8]


class Codec(Protocol):
    """Codes one item. What it decodes to has the item's shape."""

    def encode(self, item: Codes) -> bytes: ...

    def decode(self, data: bytes, out: Codes) -> None:
        """Fill `out`, C-contiguous and of the item's shape."""


class RawBytes:
    """The bytes as they are."""

    def encode(self, item: Codes) -> bytes:
        return item.tobytes()

    def decode(self, data: bytes, out: Codes) -> None:
        if len(data) != out.size:
            raise StoreError(f"{len(data)} bytes were stored where {out.size} belong")
        out.reshape(-1)[:] = np.frombuffer(data, np.uint8)


class Lossless:
    """zstd of the difference to the pixel above, modulo 256. In frames, to that on the left."""

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


class PairReader:
    """Reads every coding of a flow pair but `raw`. How to write one is its subclasses' part."""

    def decode(self, data: bytes, out: Codes) -> None:
        if data[:2] != JPEG_MAGIC:
            Lossless().decode(data, out)
            return
        _, height, width = out.shape
        try:
            grey = decode_file(data, grey=True)
        except ValueError:
            grey = np.empty((0, 0), np.uint8)
        if grey.shape == (2 * height, width):
            out.reshape(2 * height, width)[:] = grey
        elif grey.shape == (2 * ((height + 1) // 2), (width + 1) // 2):
            double(grey.reshape(2, -1, grey.shape[1]), out)
        else:
            raise StoreError(f"a flow record is no JPEG of {width}x{2 * height}, nor of half that")


@dataclass(frozen=True)
class Jpeg(PairReader):
    """One grey JPEG a pair: x above y is one image and one call."""

    quality: int

    def encode(self, item: Codes, small: bool = True) -> bytes:
        """Not `small`: quicker, and a fifth larger. What it decodes to is the same."""
        return encode_jpeg(item.reshape(-1, item.shape[-1]), self.quality, small)


@dataclass(frozen=True)
class Half(PairReader):
    """The JPEG of half as many rows and columns: means of 2 x 2 codes."""

    quality: int

    def encode(self, item: Codes, small: bool = True) -> bytes:
        return encode_jpeg(np.concatenate([halve(plane) for plane in item]), self.quality, small)


class LosslessPair(PairReader, Lossless):
    """Writes what `Lossless` does."""


HALVES = tuple(Half(quality) for quality in (80, 90, 95))
WHOLES = tuple(Jpeg(quality) for quality in (70, 80, 85, 90, 95))
"""What `within` tries, the cheapest to read first. What fails all of them is kept lossless."""


class Within(PairReader):
    """The first of the ladder whose mean end-point error over the pair is small enough."""

    def __init__(self, pixels: float, quantizer: Quantizer) -> None:
        if not 0 <= pixels < np.inf:
            raise ValueError(f"{pixels} is no number of pixels")
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
        if self._error(decoded, flow) <= self.pixels:  # no quality can mend more than that
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


@dataclass(frozen=True)
class JpegFrame:
    """One RGB JPEG a frame, chroma halved as usual."""

    quality: int

    def encode(self, item: Codes) -> bytes:
        return encode_jpeg(item, self.quality, small=True)

    def decode(self, data: bytes, out: Codes) -> None:
        size = f"{out.shape[1]}x{out.shape[0]}"
        try:
            picture = decode_file(data, grey=False)
        except ValueError:
            raise StoreError(f"a frame record is no JPEG of {size}") from None
        if picture.shape != out.shape:
            raise StoreError(f"a frame record is no JPEG of {size}")
        out[:] = picture


def halve(plane: Codes) -> Codes:
    """(H, W) -> means of 2 x 2, (ceil(H / 2), ceil(W / 2)). An odd last row or column repeats."""
    import cv2

    height, width = plane.shape
    if height % 2 or width % 2:
        plane = np.pad(plane, ((0, height % 2), (0, width % 2)), "edge")
    half = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.uint8)


def double(half: Codes, out: Codes) -> None:
    """Every value of (2, h, w) four times into (2, H, W), where h and w are the halves."""
    planes, height, width = out.shape
    twice = half.astype(np.uint16)
    twice *= 0x0101  # two equal bytes: many times as fast as repeating
    # Of an odd width the second byte of the last column is left out, of an odd height the last row.
    rows = twice.view(np.uint8).reshape(planes, half.shape[1], -1)[:, :, :width]
    out[:, 0::2] = rows
    out[:, 1::2] = rows[:, : height // 2]


Maker = Callable[[str, Quantizer], Codec]
"""(what stands behind the colon, the flow's quantiser) -> a codec. ValueError for another text."""


def plain(codec: Codec) -> Maker:
    """Of a codec without a setting."""

    def maker(setting: str, quantizer: Quantizer) -> Codec:
        if setting:
            raise ValueError(f"{setting!r} is one too many")
        return codec

    return maker


FLOW_CODECS: dict[str, Maker] = {
    "within": lambda setting, quantizer: Within(float(setting), quantizer),
    "jpeg": lambda setting, quantizer: Jpeg(quality_of(setting)),
    "half": lambda setting, quantizer: Half(quality_of(setting)),
    "lossless": plain(LosslessPair()),
    "raw": plain(RawBytes()),
    "files": plain(FlowFiles()),
}
FRAME_CODECS: dict[str, Maker] = {
    "jpeg": lambda setting, quantizer: JpegFrame(quality_of(setting)),
    "lossless": plain(Lossless()),
    "raw": plain(RawBytes()),
    "files": plain(FrameFiles()),
}


def flow_codec(name: str, quantizer: Quantizer | None = None) -> Codec:
    """The codec of a flow pair, uint8 (2, H, W). `within` measures in the quantiser's pixels."""
    choices = "within:PIXELS such as within:0.08, jpeg:1 to jpeg:100, half:1 to half:100, "
    return _codec(FLOW_CODECS, "codec", name, quantizer, choices + "lossless, raw or files")


def frame_codec(name: str) -> Codec | None:
    """The codec of a frame, uint8 (H, W, 3) RGB. None where no frames are stored."""
    if name == "none":
        return None
    choices = "jpeg:1 to jpeg:100, lossless, raw, files or none"
    return _codec(FRAME_CODECS, "frame codec", name, None, choices)


def _codec(
    makers: dict[str, Maker], what: str, name: str, quantizer: Quantizer | None, choices: str
) -> Codec:
    kind, colon, setting = name.partition(":")
    try:
        return makers[kind](setting or colon, quantizer or Quantizer())
    except (KeyError, ValueError):
        raise UserError(f"{what} {name!r} is not known; choose {choices}") from None
