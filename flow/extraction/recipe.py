"""How flow is made out of grey frames, and what a store has to know about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from flow.algorithms import Algorithm, algorithm
from flow.tvl1 import TVL1
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
        if not isinstance(self.flow.params, TVL1) and self.engine not in ("auto", "opencv"):
            raise UserError(f"engine {self.engine!r} computes TV-L1 only; leave --engine out")
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


class FlowMaker:
    """Computes the fields of a recipe in this process; made in the process that uses it."""

    def __init__(self, recipe: Recipe) -> None:
        from flow.tvl1 import choose_engine, load_engine

        self.recipe = recipe
        self.camera: Counter[str] = Counter()
        """Pairs by what their camera did, where warped flow is made: moving, still, unknown."""
        self.makes_codes = False
        self.engine = "opencv"
        if isinstance(recipe.flow.params, TVL1):
            self.engine = choose_engine(recipe.engine, recipe.flow.params)
            self._module = load_engine(self.engine)
            self.makes_codes = hasattr(self._module, "compute_codes")

    @property
    def name(self) -> str:
        """The engine and its version, for the store."""
        import cv2

        versions = {"cpu": "numba", "gpu": "cupy", "reference": "numpy"}
        package = versions.get(self.engine)
        if package is None:
            return f"{self.engine} (OpenCV {cv2.__version__})"
        return f"{self.engine} ({package} {import_module(package).__version__})"

    def batch(self, height: int, width: int) -> int:
        """Pairs to compute in one call: what keeps the engine busy, and memory bounded."""
        budget = 32 << 20 if self.makes_codes else 12 << 20
        pair = height * width * 2 * (1 if self.makes_codes else 4)
        return int(min(max(budget // pair, 2 * self.recipe.threads), 256))

    def flow(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, H, W) -> float32 (N-1, 2, H, W): from each frame to the next."""
        recipe = self.recipe
        return recipe.flow.compute(frames, self.engine, recipe.threads)

    def codes(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same, quantised by the engine; where `makes_codes`."""
        recipe = self.recipe
        codes = self._module.compute_codes(frames, recipe.flow.params, recipe.quantizer)
        return np.asarray(codes, np.uint8)

    def warped(
        self, frames: NDArray[np.uint8], plain: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """uint8 (N, H, W) -> float32 (N-1, 2, H, W): flow after camera motion is taken out."""
        threads = self.recipe.threads
        from flow.algorithms import warped_flow

        return warped_flow(frames, self.flow, plain=plain, outcomes=self.camera, threads=threads)
