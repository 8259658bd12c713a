"""An engine that knows all the flow beforehand and gives it at a fixed rate, in the place of a GPU.

What is left is the work around the engine, the same in all but the solving: the process that owns
the engine, shared memory, decoding, resizing, coding and storing.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flow.extraction import FlowMaker, Recipe
from flow.tvl1 import FlowRequest
from scripts.bench.extract_source import grey_frames
from storage.errors import UserError

PREFIX = "simulated:"


def rate_of(engine: str) -> float | None:
    """Pairs/s of `simulated:RATE`; None for the name of an engine."""
    if not engine.startswith(PREFIX):
        return None
    text = engine.removeprefix(PREFIX)
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e9:
        raise UserError(f"--engine {engine!r}: give pairs/s over 0, for example simulated:3000")
    return rate


class KnownFlow(NamedTuple):
    """Codes of every pair of some frames."""

    codes: NDArray[np.uint8]
    """(P, 2, H, W)."""
    places: dict[tuple[int, int], int]
    """Checksums of two frames -> which of the codes."""


def prepare(paths: Sequence[str], recipe: Recipe, folder: Path) -> int:
    """Compute the flow of videos by the recipe's engine and keep it; gives the number of pairs."""
    maker = FlowMaker(recipe)
    codes, sums = [], []
    for path in paths:
        frames = grey_frames(path, recipe)
        flow = maker.flow(frames)
        codes.append(np.stack([recipe.quantizer.quantize(pair) for pair in flow]))
        numbers = [zlib.crc32(frame) for frame in frames]
        sums += list(pairwise(numbers))
    np.save(folder / "codes.npy", np.concatenate(codes))
    np.save(folder / "sums.npy", np.array(sums, np.int64))
    return len(sums)


def known_flow(folder: Path) -> KnownFlow:
    """What `prepare` kept there."""
    sums = np.load(folder / "sums.npy").tolist()
    places = {(first, second): at for at, (first, second) in enumerate(sums)}
    return KnownFlow(np.load(folder / "codes.npy", mmap_mode="r"), places)


class SimulatedQueue:
    """`flow.tvl1.EngineQueue`: requests are done one after the other, each pair after 1/rate s."""

    def __init__(self, rate: float, recipe: Recipe, known: KnownFlow) -> None:
        self.rate, self.quantizer, self.known = rate, recipe.quantizer, known
        self._waiting: deque[tuple[float, FlowRequest]] = deque()
        self._free = 0.0
        """When the device has done all that was put."""

    def put(self, request: FlowRequest) -> None:
        """See `EngineQueue.put`."""
        self._free = max(self._free, time.monotonic()) + len(request.out) / self.rate
        sums = [zlib.crc32(frame) for frame in request.frames]
        for out, pair in zip(request.out, pairwise(sums), strict=True):
            codes = self.known.codes[self.known.places[pair]]
            out[:] = codes if out.dtype == np.uint8 else self.quantizer.dequantize(codes)
        if request.sample is not None:
            first = request.out[0]
            request.sample[:] = (
                self.quantizer.dequantize(first.view(np.uint8))
                if first.dtype == np.uint8
                else first
            )
        self._waiting.append((self._free, request))

    def finished(self, wait: bool = False) -> list[FlowRequest]:
        """See `EngineQueue.finished`."""
        if wait and self._waiting:
            time.sleep(max(0.0, self._waiting[0][0] - time.monotonic()))
        done = []
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            done.append(self._waiting.popleft()[1])
        return done


def open_simulated(rate: float, recipe: Recipe, folder: Path) -> tuple[SimulatedQueue, str]:
    """In the engine's process."""
    return SimulatedQueue(rate, recipe, known_flow(folder)), f"{rate:g} pairs/s"
