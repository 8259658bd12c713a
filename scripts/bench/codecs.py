"""What a coding costs and loses: bytes a pair, milliseconds to decode, pixels of error."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.bench.store_material import Flow
from storage.codecs import (
    Quantizer,
    decode_file,
    encode_jpeg,
    encode_png,
    flow_codec,
    quantize,
)

Codes = NDArray[np.uint8]
Coder = tuple[Callable[[Codes], list[bytes]], Callable[[list[bytes], Codes], None]]

CODECS = (
    *(f"within:{pixels}" for pixels in ("0.04", "0.06", "0.08", "0.12", "0.16", "0.2")),
    *(f"half:{quality}" for quality in (80, 90, 95)),
    *(f"jpeg:{quality}" for quality in (50, 60, 70, 80, 90, 95)),
    "lossless",
    "raw",
)
OTHER_MU = (4.0, 8.0, 32.0, 64.0, 255.0)


@dataclass(frozen=True)
class CodecRow:
    """One line of the table."""

    quantizer: str
    codec: str
    bytes: float
    """A pair, on average, as a file or an item of a chunk."""
    encode_ms: float
    decode_ms: float
    error: float
    """Mean end-point error of quantising and coding together, pixels."""
    worst: float
    """Of the worst pair."""


def codec_table(flow: Flow) -> list[CodecRow]:
    """Every codec of ours with the quantiser of ours, and what other tools do."""
    rounded, ours = Quantizer("round"), Quantizer()
    rows = [measure_codec(flow, rounded, "folder of JPEGs, 95", two_files())]
    rows += [measure_codec(flow, Quantizer(rule), "jpeg:95", own("jpeg:95", Quantizer(rule)))
             for rule in ("round", "truncate", "centred")]  # fmt: skip
    rows += [measure_codec(flow, ours, codec, own(codec, ours)) for codec in CODECS]
    return rows


def alternatives(flow: Flow) -> list[CodecRow]:
    """What was tried beside and is not used, so that the choice can be checked."""
    ours = Quantizer()
    rows = [
        measure_codec(flow, ours, "PNG", png()),
        measure_codec(flow, ours, "zstd 6, as it is", zstd(lambda item: item, lambda item: item)),
        measure_codec(flow, ours, "zstd 6, less the pixel on the left", zstd(*along(2))),
        measure_codec(flow, ours, "jpeg:70, the usual tables", usual_tables(70)),
        measure_codec(flow, ours, "jpeg:70 decoded by Pillow", by_pillow(70)),
        measure_codec(flow, ours, "half:90, doubled linearly", linear_half(90)),
    ]
    kept = quantize.MU
    try:
        for quantize.MU in OTHER_MU:
            other = Quantizer()
            for codec in ("raw", "jpeg:70", "within:0.08"):
                name = f"MU {quantize.MU:g}, {codec}"
                rows.append(measure_codec(flow, other, name, own(codec, other)))
    finally:
        quantize.MU = kept
    return rows


def measure_codec(flow: Flow, quantizer: Quantizer, name: str, coder: Coder) -> CodecRow:
    """Code and decode every pair; the time of a pair is the best of 3."""
    encode, decode = coder
    codes = quantizer.quantize(flow)
    out = np.empty(codes.shape[1:], np.uint8)
    sizes, encoding, decoding, errors = [], [], [], []
    for item, truth in zip(codes, flow, strict=True):
        start = time.perf_counter()
        data = encode(item)
        encoding.append(time.perf_counter() - start)
        sizes.append(sum(map(len, data)))
        decoding.append(best_of(3, lambda data=data: decode(data, out)))  # type: ignore[misc]
        off = quantizer.dequantize(out) - truth
        errors.append(float(np.hypot(off[0], off[1]).mean()))
    return CodecRow(
        quantizer=quantizer.rule,
        codec=name,
        bytes=float(np.mean(sizes)),
        encode_ms=1e3 * float(np.mean(encoding)),
        decode_ms=1e3 * float(np.mean(decoding)),
        error=float(np.mean(errors)),
        worst=max(errors),
    )


def best_of(times: int, work: Callable[[], object]) -> float:
    best = np.inf
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return float(best)


def own(name: str, quantizer: Quantizer) -> Coder:
    codec = flow_codec(name, quantizer)
    return lambda item: [codec.encode(item)], lambda data, out: codec.decode(data[0], out)


def two_files(quality: int = 95) -> Coder:
    """x and y apart, as denseflow writes them."""

    def encode(item: Codes) -> list[bytes]:
        return [encode_jpeg(plane, quality) for plane in item]

    def decode(data: list[bytes], out: Codes) -> None:
        for plane, file in zip(out, data, strict=True):
            plane[:] = decode_file(file, grey=True)

    return encode, decode


def png() -> Coder:
    def decode(data: list[bytes], out: Codes) -> None:
        grey = decode_file(data[0], grey=True)
        out.reshape(grey.shape)[:] = grey

    return lambda item: [encode_png(item.reshape(-1, item.shape[2]))], decode


def zstd(before: Callable[[Codes], Codes], after: Callable[[Codes], Codes]) -> Coder:
    import zstandard

    def decode(data: list[bytes], out: Codes) -> None:
        plain = np.frombuffer(zstandard.ZstdDecompressor().decompress(data[0]), np.uint8)
        out[:] = after(plain.reshape(out.shape))

    return lambda i: [zstandard.ZstdCompressor(level=6).compress(before(i).tobytes())], decode


def along(axis: int) -> tuple[Callable[[Codes], Codes], Callable[[Codes], Codes]]:
    def before(item: Codes) -> Codes:
        return np.diff(item, axis=axis, prepend=np.uint8(0))

    return before, lambda item: np.cumsum(item, axis=axis, dtype=np.uint8)


def usual_tables(quality: int) -> Coder:
    _, decode = own(f"jpeg:{quality}", Quantizer())
    return lambda item: [encode_jpeg(item.reshape(-1, item.shape[-1]), quality)], decode


def by_pillow(quality: int) -> Coder:
    from PIL import Image

    codec = flow_codec(f"jpeg:{quality}")

    def decode(data: list[bytes], out: Codes) -> None:
        grey = np.asarray(Image.open(io.BytesIO(data[0])))
        out.reshape(grey.shape)[:] = grey

    return lambda item: [codec.encode(item)], decode


def linear_half(quality: int) -> Coder:
    import cv2

    codec = flow_codec(f"half:{quality}")

    def decode(data: list[bytes], out: Codes) -> None:
        half = decode_file(data[0], grey=True)
        for plane, small in zip(out, half.reshape(2, -1, half.shape[1]), strict=True):
            cv2.resize(small, plane.shape[::-1], dst=plane, interpolation=cv2.INTER_LINEAR)

    return lambda item: [codec.encode(item)], decode
