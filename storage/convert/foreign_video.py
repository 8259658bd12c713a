"""One video of another tool, read pair by pair and frame by frame in this project's order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.codecs import Quantizer
from storage.convert.flow_files import FlowTable, open_array
from storage.convert.foreign_files import Files, decode_picture
from storage.convert.foreign_forms import (
    ArrayPairs,
    FilePairs,
    ForeignPair,
    PairForm,
    PicturePairs,
    TablePairs,
)
from storage.convert.foreign_names import ARRAY, BOTH, IMAGE, TABLE, X, Y, parse_path
from storage.convert.foreign_survey import FileSpan, FoundVideo, Source
from storage.errors import UserError


@dataclass(frozen=True)
class Reading:
    """How the numbers and values of a collection are meant."""

    quantizer: Quantizer
    """Of the codes in pictures. Floats are quantised by it."""
    named_step: int = 1
    """The step in the names: 4 for `flow_x_p4_00000.jpg`, 1 where names do not say."""
    step: int = 1
    """Frames from a pair's first frame to its second."""
    flow_base: int = 0
    image_base: int = 0
    images: str = "first"
    """Image i is the pair's `first` frame or its `second` one, or `none` are taken."""
    backward: bool = False
    scale: float = 1.0
    """What floats in `.npy` files must be multiplied by to give pixels."""
    trim: bool = False
    """Cut what is too much at the end instead of refusing the video."""


@dataclass(frozen=True)
class Picture:
    """One frame: uint8 (H, W, 3) RGB, and the file it came from."""

    rgb: NDArray[np.uint8]
    file: bytes


class ForeignVideo:
    """Opened for one pass. `pairs` and `frames` are counted from names. Nothing is decoded yet."""

    def __init__(self, video: FoundVideo, reading: Reading) -> None:
        self.video = video.video
        self.reading = reading
        self._listed = video
        self._stack = ExitStack()
        self._files: dict[Source, Files] = {}
        self._listings: dict[Source, list[tuple[str, str]]] = {}
        if video.faults:
            raise UserError(video.faults[0])
        try:
            self._flow = self._sequence(reading.named_step, reading.flow_base)
            self._back = (
                self._sequence(-reading.named_step, reading.flow_base + reading.named_step)
                if reading.backward
                else None
            )
            self._images = self._frame_names()
            self.pairs, self.frames, self._first_pair = self._fit()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._stack.close()

    def flow(self, backward: bool = False) -> Iterator[ForeignPair]:
        """Pairs 0 to `pairs` - 1."""
        sequence = self._back if backward else self._flow
        assert sequence is not None
        for index, pair in enumerate(sequence.read()):
            if self._first_pair <= index < self._first_pair + self.pairs:
                yield pair

    def pictures(self) -> Iterator[Picture]:
        """Frames 0 to `frames` - 1."""
        for source, name in self._images[: self.frames]:
            data = self._open(source).read(name)
            yield Picture(decode_picture(data, name, color=True), data)

    # What lies where

    def _open(self, source: Source) -> Files:
        if source not in self._files:
            self._files[source] = self._stack.enter_context(closing(source.open()))
        return self._files[source]

    def _numbered(self, component: str, step: int, span: FileSpan) -> dict[int, str]:
        """File names of one component by their numbers. The same number twice is refused."""
        files = self._open(span.source)
        if span.source not in self._listings:
            self._listings[span.source] = list(span.source.listing(files))
        numbers: dict[int, str] = {}
        for path, name in self._listings[span.source]:
            parsed = parse_path(path)
            if (
                parsed is None
                or parsed.layout != span.layout
                or (parsed.component, parsed.step) != (component, step)
                or (parsed.video and parsed.video != self.video)
            ):
                continue
            if parsed.number in numbers:
                raise UserError(f"{numbers[parsed.number]} and {name} have the same number")
            numbers[parsed.number] = name
        return numbers

    def _sequence(self, step: int, base: int) -> PairForm:
        spans = {kind: span for (kind, s), span in self._listed.spans.items() if s == step}
        kinds = spans.keys() & {X, Y, BOTH, ARRAY, TABLE}
        if not kinds:
            has = ", ".join(sorted({kind for kind, _ in self._listed.spans}))
            raise UserError(f"holds no flow of step {step} (it holds: {has})")
        if len(kinds) > 1 and kinds != {X, Y}:
            raise UserError(f"holds flow in several forms ({', '.join(sorted(kinds))}); keep one")
        if kinds & {X, Y}:
            if kinds != {X, Y}:
                there, lacking = (X, Y) if X in kinds else (Y, X)
                raise UserError(f"has {there} flow and no {lacking} flow beside it")
            x, y = (self._numbered(kind, step, spans[kind]) for kind in (X, Y))
            _refuse_gaps(x, y, base)
            sources = spans[X].source, spans[Y].source
            return PicturePairs(
                [(x[n], y[n]) for n in sorted(x)],
                lambda side, name: self._open(sources[side]).read(name),
            )
        kind = next(iter(kinds))
        span = spans[kind]
        if kind == BOTH:
            names = self._numbered(BOTH, step, span)
            _refuse_gaps(names, names, base)
            return FilePairs(
                [names[n] for n in sorted(names)],
                self._open(span.source).read,
                self.reading.quantizer,
            )
        if kind == TABLE:
            table = FlowTable(span.source.container)
            self._stack.callback(table.close)
            _refuse_gaps(table.numbers["x"], table.numbers["y"], base)
            return TablePairs(table, self.reading.quantizer)
        path = span.source.container
        return ArrayPairs(path.name, open_array(path, self.reading.scale), self.reading.quantizer)

    def _frame_names(self) -> list[tuple[Source, str]]:
        span = self._listed.spans.get((IMAGE, 1))
        if self.reading.images == "none" or span is None:
            return []
        names = self._numbered(IMAGE, 1, span)
        _refuse_gaps(names, names, self.reading.image_base)
        return [(span.source, names[n]) for n in sorted(names)]

    def _fit(self) -> tuple[int, int, int]:
        """(pairs, frames, first pair taken), so that pair i leads from frame i to i + step."""
        step, pairs, frames = self.reading.step, len(self._flow), len(self._images)
        if self._back is not None and len(self._back) != pairs:
            raise UserError(f"has {pairs} forward pairs and {len(self._back)} backward ones")
        if not frames:
            return pairs, 0, 0
        first = step if self.reading.images == "second" else 0
        usable = pairs - first
        fitting = frames - step
        if usable == fitting and usable > 0:
            return usable, frames, first
        if self.reading.trim and min(usable, fitting) > 0:
            usable = min(usable, fitting)
            return usable, usable + step, first
        expected = pairs + step if self.reading.images == "first" else pairs
        raise UserError(
            f"has {pairs} pairs and {frames} frames, where step {step} with each image the "
            f"{self.reading.images} of its pair makes {expected} frames; say --images, "
            "cut the surplus with --trim, or leave frames out with --images none"
        )


def _refuse_gaps(x: dict[int, str], y: dict[int, str], base: int) -> None:
    """UserError that names the first file missing in a sequence, or on one side of it."""
    for one, other, side in ((x, y, "y"), (y, x, "x")):
        alone = sorted(one.keys() - other.keys())
        if alone:
            more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise UserError(f"{one[alone[0]]} has no {side} flow beside it{more}")
    if not x:
        raise UserError("holds no flow")
    first, last = min(x), max(x)
    if first != base:
        raise UserError(
            f"starts with {x[first]}, where the others start to count at {base}; a file is "
            "missing, or say --index-base"
        )
    if last - first + 1 != len(x):
        missing = sorted(set(range(first, last + 1)) - x.keys())
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise UserError(f"number {missing[0]} is missing{more} between {x[first]} and {x[last]}")
