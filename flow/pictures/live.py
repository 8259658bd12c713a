"""A video as a store would hold it, straight from its file or a camera, window by window.

for block in windows(Source(path, recipe), recipe, length=250, reach=10): ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flow.algorithms import ALGORITHMS, algorithm
from flow.extraction import Chunk, FlowMaker, Picture, Recipe, chunks
from flow.video import Resize
from storage.codecs import Codec, flow_codec, frame_codec
from storage.errors import UserError
from storage.store import StoreConfig, VideoMeta, Window


class PictureSource(Protocol):
    """What a video file (`Source`) and a camera (`Webcam`) have in common."""

    fps: float
    decoded: int

    def pictures(self) -> Iterator[Picture]: ...


def frames_of(config: StoreConfig) -> Recipe:
    """The recipe of a store's frames, without flow."""
    return Recipe(
        resize=Resize.parse(config.size),
        step=config.step,
        fps=config.fps,
        frame_codec="raw" if config.frame_codec == "none" else config.frame_codec,
    )


def recipe_of(config: StoreConfig, engine: str = "auto", threads: int = 1) -> Recipe:
    """A store's recipe, for a new video; UserError where it cannot be followed here."""
    if config.algorithm not in ALGORITHMS:
        raise UserError(
            f"its store says that its flow was made by {config.algorithm!r}, which cannot be "
            "computed here; if it was TV-L1, import it again with --preset"
        )
    try:
        chosen = algorithm(config.algorithm, **config.parameters)
    except TypeError as error:
        raise UserError(f"its store's flow parameters cannot be used here ({error})") from None
    if chosen.fingerprint != config.fingerprint:
        raise UserError(
            f"its store's flow has the fingerprint {config.fingerprint or 'of nothing'}, and "
            f"the same parameters give {chosen.fingerprint} here: another version made it"
        )
    recipe = Recipe(
        resize=Resize.parse(config.size),
        step=config.step,
        fps=config.fps,
        fields=config.fields,
        flow=chosen,
        quantizer=config.quantizer,
        codec=config.codec,
        frame_codec="raw" if config.frame_codec == "none" else config.frame_codec,
        engine=engine,
        threads=threads,
    )
    different = replace(recipe, frame_codec=config.frame_codec).config().differences(config)
    if different:
        raise UserError(f"its store's flow cannot be made the same here: {'; '.join(different)}")
    return recipe


@dataclass(frozen=True)
class Block:
    """Frames `start` to `stop` of a video, in a window that reaches a little further both ways."""

    start: int
    stop: int
    last: bool
    window: Window


def windows(
    source: PictureSource,
    recipe: Recipe,
    video: str,
    *,
    length: int,
    reach: int,
    flow: bool = True,
) -> Iterator[Block]:
    """The video in blocks of `length` frames; each window has `reach` frames more on both sides.

    Pictures and flow go through the store's codecs, so they are what training saw. Memory holds
    `length` + 2 `reach` frames and what runs ahead. Without `flow` none is computed.
    """
    config = recipe.config()
    coders = flow_codec(recipe.codec, recipe.quantizer), frame_codec(recipe.frame_codec)
    buffer = _Buffer(recipe.fields if flow else (), recipe.step)
    start = 0
    for chunk in chunks(source, FlowMaker(recipe)) if flow else frames_only(source):  # type: ignore[arg-type]
        buffer.take(chunk, recipe, coders)
        # Pairs lag behind frames by `step`; a block is whole when its last stacks are.
        while buffer.pairs_end >= start + length + reach:
            yield buffer.block(start, start + length, False, config, source.fps, video)
            start += length
            buffer.drop_before(start - reach)
    if buffer.frames_end <= start and start:
        return
    if buffer.pairs_end < 1 and flow:
        raise UserError(
            f"{video} has {buffer.frames_end} frames; flow of step {recipe.step} needs "
            f"{recipe.step + 1}"
        )
    yield buffer.block(start, buffer.frames_end, True, config, source.fps, video)


def frames_only(source: PictureSource) -> Iterator[Chunk]:
    """The frames of a video, one by one."""
    for picture in source.pictures():
        assert picture.rgb is not None  # the recipe keeps frames
        yield Chunk([picture.rgb], {}, None)


class _Buffer:
    """The frames and pairs that are still needed."""

    def __init__(self, fields: tuple[str, ...], step: int) -> None:
        self.step = step
        self.first = 0
        self.rgb: list[NDArray[np.uint8]] = []
        self.flows: dict[str, list[NDArray[np.uint8]]] = {field: [] for field in fields}

    @property
    def frames_end(self) -> int:
        return self.first + len(self.rgb)

    @property
    def pairs_end(self) -> int:
        if not self.flows:
            return max(0, self.frames_end - self.step)
        return self.first + min(map(len, self.flows.values()))

    def take(self, chunk: Chunk, recipe: Recipe, coders: tuple[Codec, Codec | None]) -> None:
        flow_coder, frame_coder = coders
        self.rgb += [_as_stored(rgb, frame_coder) for rgb in chunk.rgb]
        for field, flow in chunk.flows.items():
            codes = flow if flow.dtype == np.uint8 else recipe.quantizer.quantize(flow)
            self.flows[field] += [_as_stored(pair, flow_coder) for pair in codes]

    def drop_before(self, frame: int) -> None:
        gone = max(0, frame - self.first)
        del self.rgb[:gone]
        for pairs in self.flows.values():
            del pairs[:gone]
        self.first += gone

    def block(
        self, start: int, stop: int, last: bool, config: StoreConfig, fps: float, video: str
    ) -> Block:
        height, width = self.rgb[0].shape[:2]
        about = VideoMeta(
            video=video,
            frames=self.frames_end,
            pairs=self.pairs_end,
            height=height,
            width=width,
            fps=fps,
        )
        flows = {field: np.stack(pairs) for field, pairs in self.flows.items()}
        window = Window(config, about, self.first, np.stack(self.rgb), flows)
        return Block(start, stop, last, window)


def _as_stored(item: NDArray[np.uint8], codec: Codec | None) -> NDArray[np.uint8]:
    """What comes back out of the store when this is put in."""
    if codec is None:
        return item
    out = np.empty(item.shape, np.uint8)
    codec.decode(codec.encode(item), out)
    return out
