"""How flow is made out of grey frames, and what a store has to know about it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from flow.algorithms import Algorithm, algorithm
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
