"""Flow out of grey frames in one process: by an engine in it, or by the process that owns one."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from flow.extraction.engine_client import ADDRESS, RemoteEngine
from flow.extraction.recipe import Recipe
from flow.tvl1 import EngineFault, flow_through, load_engine
from storage.errors import UserError

T = TypeVar("T")


class Patience(NamedTuple):
    """When an engine counts as stuck, in seconds: at the soonest, and for each pixel and pair."""

    least: float
    pixel: float


ON_GPU = Patience(120.0, 1e-6)
"""Of one that another process owns: its kernels are compiled. 3,000 pairs/s are 4e-9 a pixel."""
ON_PROCESSOR = Patience(900.0, 2e-4)
"""The first call may compile, beside much other work. The reference takes some 2e-5 a pixel."""


class FlowMaker:
    """Computes the fields of a recipe, by an engine that is chosen once; for one process."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.camera: Counter[str] = Counter()
        """Pairs by what their camera did, for warped flow: moving, still, unknown."""
        address = os.environ.get(ADDRESS)
        self.remote = RemoteEngine(address) if address else None
        self._queue: Any = None
        if self.remote is not None:
            name, version = recipe.engine, self.remote.version
            self.makes_codes = True
        else:
            name = recipe.flow.choose(recipe.engine)
            self._engine = load_engine(name, recipe.flow.engines)
            version = self._engine.version()
            self.makes_codes = self._engine.open_queue is not None
        self.engine = f"{name} ({version})"
        """The engine and its version, for the store."""

    def batch(self, height: int, width: int) -> int:
        """Pairs to compute in one call: what keeps the engine busy, and memory bounded."""
        pair = height * width * 2 * (1 if self.makes_codes else 4)
        return int(min(max((12 << 20) // pair, 2 * self.recipe.threads), 256))

    def flow(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, H, W) -> float32 (N-1, 2, H, W): from each frame to the next."""
        limit = self._limit(frames)
        if self.remote is not None:
            flow = self.remote.solve(frames, False, limit)
            return np.asarray(flow, np.float32)
        engine, recipe = self._engine, self.recipe
        return within(limit, lambda: engine.compute(frames, recipe.flow.params, recipe.threads))

    def codes(
        self, frames: NDArray[np.uint8], sample: NDArray[np.float32] | None = None
    ) -> NDArray[np.uint8]:
        """The same, quantised by the engine; where `makes_codes`. `sample`, (2, H, W), gets the
        first pair in pixels."""
        limit = self._limit(frames)
        if self.remote is not None:
            return np.asarray(self.remote.solve(frames, True, limit, sample), np.uint8)
        return within(limit, lambda: self._codes_here(frames, sample))

    def _codes_here(
        self, frames: NDArray[np.uint8], sample: NDArray[np.float32] | None
    ) -> NDArray[np.uint8]:
        assert self._engine.open_queue is not None
        if self._queue is None:
            self._queue = self._engine.open_queue(self.recipe.flow.params, self.recipe.quantizer)
        return flow_through(self._queue, np.ascontiguousarray(frames), np.uint8, sample)

    def warped(
        self, frames: NDArray[np.uint8], plain: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """uint8 (N, H, W) -> float32 (N-1, 2, H, W): flow after camera motion is taken out."""
        from flow.algorithms import warped_flow

        threads = self.recipe.threads
        return warped_flow(frames, self.flow, plain=plain, outcomes=self.camera, threads=threads)

    def _limit(self, frames: NDArray[np.uint8]) -> float:
        patience = ON_PROCESSOR if self.remote is None else ON_GPU
        return patience.least + frames.size * patience.pixel


def within(limit: float, compute: Callable[[], T]) -> T:
    """What an engine computes; EngineFault where it fails, or takes longer than `limit` seconds.

    A mistake of the caller's (UserError) stays one. After an EngineFault the process should not be
    used any more: a thread may hang in it, and a CUDA error spoils all that comes after it.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(compute())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True, name="engine")
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        raise EngineFault(f"no flow for {limit:g} s")
    if not errors:
        return results[0]
    error = errors[0]
    if isinstance(error, UserError | EngineFault):
        raise error
    raise EngineFault(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
