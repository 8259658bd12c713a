"""How flow is made out of grey frames, and what a store has to know about it."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.params import TVL1
from flow.resize import Resize
from storage.config import StoreConfig
from storage.errors import UserError
from storage.quantize import Quantizer

ALGORITHMS = ("tvl1", "dis", "farneback")
DEFAULT = StoreConfig()


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is stored of a video; picklable, so that workers can have it."""

    resize: Resize = field(default_factory=Resize)
    step: int = 1
    """Pair i leads from frame i to frame i + step."""
    fps: float | None = None
    fields: tuple[str, ...] = ("forward",)
    algorithm: str = "tvl1"
    params: TVL1 = field(default_factory=TVL1)
    """For tvl1 only."""
    quantizer: Quantizer = field(default_factory=Quantizer)
    codec: str = DEFAULT.codec
    frame_codec: str = DEFAULT.frame_codec
    engine: str = "auto"
    """Who computes TV-L1; it does not decide what is stored."""
    threads: int = 1
    """Of the engine, in each process."""

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise UserError(f"no flow {self.algorithm!r}; choose one of {', '.join(ALGORITHMS)}")
        if not self.fields:
            raise UserError("no field is asked for; choose forward, backward, warped")
        if self.threads < 1:
            raise UserError(f"threads is {self.threads}; it must be at least 1")

    def config(self) -> StoreConfig:
        """What the store says of itself; two recipes may share a store if these are equal."""
        if self.algorithm == "tvl1":
            parameters, fingerprint = asdict(self.params), self.params.fingerprint
        else:
            parameters = further_algorithm(self.algorithm).PARAMETERS[self.algorithm]
            text = json.dumps({"algorithm": self.algorithm, **parameters}, sort_keys=True)
            fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        return StoreConfig(
            quantizer=self.quantizer,
            codec=self.codec,
            frame_codec=self.frame_codec,
            size=str(self.resize),
            step=self.step,
            fps=self.fps,
            fields=self.fields,
            algorithm=self.algorithm,
            parameters=parameters,
            fingerprint=fingerprint,
        )


class FlowMaker:
    """Computes the fields of a recipe in this process; made in the process that uses it."""

    def __init__(self, recipe: Recipe) -> None:
        from flow.compute import choose_engine, load_engine

        self.recipe = recipe
        if recipe.algorithm == "tvl1":
            self.engine = choose_engine(recipe.engine)
            self._module = load_engine(self.engine)
            self._options: dict[str, Any] = {}
            if "threads" in inspect.signature(self._module.compute).parameters:
                self._options["threads"] = recipe.threads
        else:
            self.engine = "opencv"
            self._module = further_algorithm(recipe.algorithm)
        self.makes_codes = recipe.algorithm == "tvl1" and hasattr(self._module, "compute_codes")

    @property
    def name(self) -> str:
        """The engine and its version, for the store."""
        import cv2

        versions = {"cpu": "numba", "gpu": "cupy"}
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
        if self.recipe.algorithm == "tvl1":
            made = self._module.compute(frames, self.recipe.params, **self._options)
        else:
            made = self._module.compute_further(self.recipe.algorithm, frames)
        return np.asarray(made, np.float32)

    def codes(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same, quantised by the engine; where `makes_codes`."""
        recipe = self.recipe
        return np.asarray(self._module.compute_codes(frames, recipe.params, recipe.quantizer))

    def warped(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, H, W) -> float32 (N-1, 2, H, W): flow after camera motion is taken out."""
        module = import_module("flow.warped")
        return np.asarray(module.warped_flow(frames, self.flow), np.float32)


def further_algorithm(name: str) -> Any:
    """The module with the algorithms beside TV-L1."""
    module = import_module("flow.further")
    if name not in module.PARAMETERS:
        raise UserError(f"no flow {name!r}; choose one of {', '.join(ALGORITHMS)}")
    return module
