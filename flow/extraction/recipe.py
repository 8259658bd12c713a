"""How flow is made out of grey frames, and what a store has to know about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from flow.algorithms import Algorithm, algorithm
from flow.tvl1 import load_engine
from flow.video import Resize, check_rate
from storage.codecs import Quantizer
from storage.errors import UserError
from storage.store import StoreConfig

DEFAULT = StoreConfig()


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is stored of a video; picklable, so that workers can have it."""

    resize: Resize = field(default_factory=Resize)
    step: int = 1
    """Pair i leads from frame i to frame i + step."""
    fps: float | None = None
    fields: tuple[str, ...] = ("forward",)
    flow: Algorithm = field(default_factory=lambda: algorithm("tvl1"))
    quantizer: Quantizer = field(default_factory=Quantizer)
    codec: str = DEFAULT.codec
    frame_codec: str = DEFAULT.frame_codec
    engine: str = "auto"
    """Who computes TV-L1; it does not decide what is stored."""
    threads: int = 1
    """Of the engine, in each process."""

    def __post_init__(self) -> None:
        if self.engine not in ("auto", *self.flow.engines):
            raise UserError(
                f"--engine {self.engine!r}: no such engine computes {self.flow.name}; choose "
                f"auto, {', '.join(self.flow.engines)}"
            )
        if not self.fields:
            raise UserError("no field is asked for; choose forward, backward, warped")
        check_rate(self.fps)
        if self.threads < 1:
            raise UserError(f"threads is {self.threads}; it must be at least 1")

    def config(self) -> StoreConfig:
        """What the store says of itself; two recipes may share a store if these are equal."""
        return StoreConfig(
            quantizer=self.quantizer,
            codec=self.codec,
            frame_codec=self.frame_codec,
            size=str(self.resize),
            step=self.step,
            fps=self.fps,
            fields=self.fields,
            algorithm=self.flow.name,
            parameters=self.flow.parameters,
            fingerprint=self.flow.fingerprint,
        )


def check_engine(recipe: Recipe) -> Recipe:
    """The recipe with its engine chosen, so that a mistake shows before work begins."""
    return replace(recipe, engine=recipe.flow.choose(recipe.engine))


class FlowMaker:
    """Computes the fields of a recipe, by an engine that is chosen once; for one process."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.camera: Counter[str] = Counter()
        """Pairs by what their camera did, for warped flow: moving, still, unknown."""
        name = recipe.flow.choose(recipe.engine)
        self._engine = load_engine(name, recipe.flow.engines)
        self.makes_codes = self._engine.compute_codes is not None
        self.engine = f"{name} ({self._engine.version()})"
        """The engine and its version, for the store."""

    def batch(self, height: int, width: int) -> int:
        """Pairs to compute in one call: what keeps the engine busy, and memory bounded."""
        budget = 32 << 20 if self.makes_codes else 12 << 20
        pair = height * width * 2 * (1 if self.makes_codes else 4)
        return int(min(max(budget // pair, 2 * self.recipe.threads), 256))

    def flow(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, H, W) -> float32 (N-1, 2, H, W): from each frame to the next."""
        return self._engine.compute(frames, self.recipe.flow.params, self.recipe.threads)

    def codes(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same, quantised by the engine; where `makes_codes`."""
        assert self._engine.compute_codes is not None
        return self._engine.compute_codes(frames, self.recipe.flow.params, self.recipe.quantizer)

    def warped(
        self, frames: NDArray[np.uint8], plain: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """uint8 (N, H, W) -> float32 (N-1, 2, H, W): flow after camera motion is taken out."""
        from flow.algorithms import warped_flow

        threads = self.recipe.threads
        return warped_flow(frames, self.flow, plain=plain, outcomes=self.camera, threads=threads)
