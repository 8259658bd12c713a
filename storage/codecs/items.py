"""The codings of one item that need no choice: raw, lossless, JPEG, and JPEG of half the size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.codecs.grey import fill_double, fill_grey
from storage.codecs.pictures import JPEG_MAGIC, decode_file, encode_jpeg
from storage.errors import StoreError

Codes = NDArray[np.uint8]


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
        if fill_grey(data, out.reshape(2 * height, width)):
            return
        half = np.empty((2, (height + 1) // 2, (width + 1) // 2), np.uint8)
        if fill_grey(data, half.reshape(-1, half.shape[2])):
            double(half, out)
            return
        try:
            grey = decode_file(data, grey=True)
        except ValueError:
            grey = np.empty((0, 0), np.uint8)
        if grey.shape == (2 * height, width):
            out.reshape(2 * height, width)[:] = grey
        elif grey.shape == (2 * half.shape[1], half.shape[2]):
            double(grey.reshape(half.shape), out)
        else:
            raise StoreError(f"a flow record is no JPEG of {width}x{2 * height}, nor of half that")


@dataclass(frozen=True)
class Jpeg(PairReader):
    """One grey JPEG a pair: x above y is one image and one call."""

    quality: int

    def encode(self, item: Codes) -> bytes:
        return encode_jpeg(item.reshape(-1, item.shape[-1]), self.quality, small=True)


@dataclass(frozen=True)
class Half(PairReader):
    """The JPEG of half as many rows and columns: means of 2 x 2 codes."""

    quality: int

    def encode(self, item: Codes) -> bytes:
        halves = np.concatenate([halve(plane) for plane in item])
        return encode_jpeg(halves, self.quality, small=True)


class LosslessPair(PairReader, Lossless):
    """Writes what `Lossless` does."""


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
    if fill_double(half, out):
        return
    twice = half.astype(np.uint16)
    twice *= 0x0101  # two equal bytes: many times as fast as repeating
    # Of an odd width the second byte of the last column is left out, of an odd height the last row.
    rows = twice.view(np.uint8).reshape(planes, half.shape[1], -1)[:, :, :width]
    out[:, 0::2] = rows
    out[:, 1::2] = rows[:, : height // 2]
