"""One video into a store: decoded once, in chunks, with decoding, flow and coding overlapped.

Three threads work at once: one decodes and resizes, one computes the flow, and the caller's
quantises, codes and writes. Between them lie short queues, so that memory depends on the frame
size and on nothing else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flow.extraction.maker import FlowMaker
from flow.extraction.prefetch import StallError, prefetch
from flow.extraction.quality import LOSS_PAIRS, Quality
from flow.extraction.recipe import Recipe
from flow.tvl1 import MIN_SIDE
from flow.video import VideoError, VideoReader, resample, to_grey
from storage.codecs import flow_codec
from storage.errors import StoreError
from storage.store import Store

PATIENCE = 120.0
"""Seconds without a new frame after which a video's decoder counts as stuck."""

BUDGET = 64 << 20
"""Bytes of frames that wait for their flow, and of flow that waits to be coded."""


@dataclass(frozen=True)
class Extraction:
    """One video in the store."""

    video: str
    frames: int
    pairs: int
    size: int
    """Bytes in the store."""
    quality: Quality
    faults: tuple[VideoError, ...] = ()
    """Why it is not whole; only where the caller asked for what can be decoded."""


class Picture(NamedTuple):
    """A frame on its way: RGB only where frames are stored."""

    rgb: NDArray[np.uint8] | None
    grey: NDArray[np.uint8]

    def weight(self) -> int:
        return self.grey.nbytes + (0 if self.rgb is None else self.rgb.nbytes)


class Chunk(NamedTuple):
    """Some frames, in order, and some pairs, in order; pairs may lag behind their frames."""

    rgb: list[NDArray[np.uint8]]
    flows: dict[str, NDArray[Any]]
    """Field -> float32 (N, 2, H, W), or uint8 where the engine quantises."""
    sample: tuple[NDArray[np.float32], NDArray[np.uint8]] | None
    """One pair as float and as the engine coded it."""

    def weight(self) -> int:
        arrays = [*self.rgb, *self.flows.values()]
        return sum(array.nbytes for array in arrays)


class Source:
    """A video file being read: its frames, and what the store keeps about it."""

    def __init__(self, path: str | os.PathLike[str], recipe: Recipe, tolerant: bool = False):
        self.path, self.recipe, self.tolerant = Path(path), recipe, tolerant
        self.about: dict[str, Any] = {}
        self.faults: list[VideoError] = []
        self.fps = 0.0
        self.decoded = 0

    def pictures(self) -> Iterator[Picture]:
        """Resized frames at the recipe's rate."""
        recipe = self.recipe
        keep = recipe.frame_codec != "none"
        with VideoReader(self.path, tolerant=self.tolerant) as reader:
            self.fps = recipe.fps or reader.info.fps
            try:
                self.about = {**file_identity(self.path), **asdict(reader.info)}
            except OSError as error:  # a disk that fails now: this video's fault, not the store's
                raise VideoError("cannot open", error.strerror or str(error)) from None
            for frame in resample(reader, recipe.fps):
                self.decoded = reader.decoded
                rgb = recipe.resize.apply(frame.rgb)
                if min(rgb.shape[:2]) < MIN_SIDE:
                    raise VideoError(
                        "too small",
                        f"{rgb.shape[1]}x{rgb.shape[0]}; flow needs {MIN_SIDE}x{MIN_SIDE} "
                        "(--short-side enlarges)",
                    )
                yield Picture(rgb if keep else None, to_grey(rgb))
            self.decoded = reader.decoded
            self.faults = reader.faults


def extract_video(
    path: str | os.PathLike[str],
    video: str,
    store: Store,
    recipe: Recipe,
    *,
    tolerant: bool = False,
    name: str | None = None,
    progress: Callable[[int], object] | None = None,
    maker: FlowMaker | None = None,
    patience: float = PATIENCE,
    replace: bool = False,
) -> Extraction:
    """Store the frames and the flow of one video under the id `video`, whole or not at all.

    Raises VideoError for what is wrong with the video; a `tolerant` run stores what can be
    decoded and gives the faults back. `name` is what the store calls the source. `progress` gets
    the pairs done since its last call. With `replace`, an older one of that id stays until the new
    one is whole.
    """
    maker = maker or FlowMaker(recipe)
    maker.camera.clear()
    source = Source(path, recipe, tolerant)
    quality, codec = Quality(), flow_codec(recipe.codec, recipe.quantizer)
    with store.write(video, replace) as writer:
        frames = pairs = 0
        for chunk in chunks(source, maker, patience):
            for rgb in chunk.rgb:
                writer.frame(rgb)
            frames += len(chunk.rgb)
            for field, flow in chunk.flows.items():
                # one at a time: it stays in the processor's cache
                for number, pair in enumerate(flow, pairs):
                    codes = pair if pair.dtype == np.uint8 else recipe.quantizer.quantize(pair)
                    data = codec.encode(codes)
                    writer.encoded(field, data, *codes.shape[1:])
                    quality.count(codes, recipe.quantizer)
                    if pair.dtype != np.uint8:
                        quality.compare(pair, codes, recipe.quantizer)
                        if number % LOSS_PAIRS == 0:
                            quality.decode(pair, data, codec, recipe.quantizer)
            if chunk.sample is not None:
                quality.compare(*chunk.sample, recipe.quantizer)
                pair, codes = chunk.sample
                quality.decode(pair, codec.encode(codes), codec, recipe.quantizer)
            done = len(chunk.flows[recipe.fields[0]]) if chunk.flows else 0
            pairs += done
            if progress is not None:
                progress(done)
        if pairs == 0:
            raise too_short(source)
        faults = tuple(source.faults)
        writer.finish(
            fps=source.fps,
            source={
                **source.about,
                "name": name or Path(path).name,
                "decoded": source.decoded,
                **({"faults": list(map(str, faults))} if faults else {}),
            },
            engine=maker.engine,
            quality=quality.to_json()
            | {f"camera_{what}": pairs for what, pairs in sorted(maker.camera.items())},
        )
    if not writer.published:
        raise StoreError(f"{video!r} was stored by another process meanwhile")
    return Extraction(video, frames, pairs, store.video(video).size, quality, faults)


def chunks(source: Source, maker: FlowMaker, patience: float | None = None) -> Iterator[Chunk]:
    """The frames and pairs of a video, computed by threads that run ahead of the caller."""
    pictures = prefetch(source.pictures, weigh=Picture.weight, budget=BUDGET, patience=patience)
    try:
        yield from prefetch(lambda: computed(pictures, maker), weigh=Chunk.weight, budget=BUDGET)
    except StallError:
        where = source.decoded
        raise VideoError("stalled", f"no new frame for {patience:g} s", where) from None


def computed(pictures: Iterator[Picture], maker: FlowMaker) -> Iterator[Chunk]:
    """Gather frames until a batch is full, and compute its pairs; the last frames stay for more."""
    step = maker.recipe.step
    grey: list[NDArray[np.uint8]] = []
    rgb: list[NDArray[np.uint8]] = []
    batch = 0
    for picture in pictures:
        batch = batch or maker.batch(*picture.grey.shape)
        grey.append(picture.grey)
        if picture.rgb is not None:
            rgb.append(picture.rgb)
        if len(grey) == batch + step:
            yield chunk_of(grey, rgb, maker)
            grey, rgb = grey[-step:], []
        elif len(rgb) > batch:  # a long step must wait for its grey frames, not for the others
            yield Chunk(rgb, {}, None)
            rgb = []
    if len(grey) > step:
        yield chunk_of(grey, rgb, maker)
    elif rgb:
        yield Chunk(rgb, {}, None)


def chunk_of(
    grey: list[NDArray[np.uint8]], rgb: list[NDArray[np.uint8]], maker: FlowMaker
) -> Chunk:
    frames = np.stack(grey)
    recipe = maker.recipe
    # What the engine did to one pair stands for what it did to all; it is solved only once.
    pixels = [np.empty((2, *frames.shape[1:]), np.float32)] if maker.makes_codes else []
    sample = None

    def codes(part: NDArray[np.uint8]) -> NDArray[Any]:
        nonlocal sample
        if not pixels:
            return maker.codes(part)
        values = pixels.pop()
        result = maker.codes(part, values)
        sample = (values, result[0])
        return result

    compute = codes if maker.makes_codes else maker.flow
    flows: dict[str, NDArray[Any]] = {}
    for field in recipe.fields:
        if field == "forward":
            flows[field] = pairs_of(compute, frames, recipe.step)
        elif field == "backward":
            flows[field] = pairs_of(compute, frames[::-1], recipe.step)[::-1]
        else:
            plain = flows.get("forward")
            known = plain if plain is not None and plain.dtype == np.float32 else None
            flows[field] = pairs_of(maker.warped, frames, recipe.step, known)
    return Chunk(rgb, flows, sample)


def pairs_of(
    compute: Callable[..., NDArray[Any]],
    frames: NDArray[np.uint8],
    step: int,
    plain: NDArray[np.float32] | None = None,
) -> NDArray[Any]:
    """(N, H, W) -> (N - step, 2, H, W): pair i leads from frame i to frame i + step.

    Engines know only neighbours, so each of the `step` interleaved sequences is computed by
    itself. `plain` is flow of the same pairs, handed on to `compute`.
    """
    out: NDArray[Any] | None = None
    for first in range(step):
        part = np.ascontiguousarray(frames[first::step])
        if len(part) < 2:
            continue
        flow = compute(part) if plain is None else compute(part, plain[first::step])
        if step == 1:
            return flow
        if out is None:
            out = np.empty((len(frames) - step, *flow.shape[1:]), flow.dtype)
        out[first::step] = flow
    assert out is not None  # there are more frames than `step`
    return out


def too_short(source: Source) -> VideoError:
    """Why a video gave no pair at all."""
    if source.faults:
        return source.faults[0]
    step = source.recipe.step
    count = source.decoded
    rate = f" at {source.recipe.fps:g} frames a second" if source.recipe.fps else ""
    return VideoError(
        f"fewer than {step + 1} frames", f"{count} decoded; step {step} needs {step + 1}{rate}"
    )


def file_identity(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What tells later whether a source is still the same: bytes, sha256, time of change."""
    status = os.stat(path)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": status.st_size, "sha256": digest, "mtime_ns": status.st_mtime_ns}
