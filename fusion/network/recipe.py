"""How two towers are fused and trained on, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from storage.errors import UserError
from streams.samples import Sampling
from streams.settings import tuples, values_of
from streams.training import Optimisation

JoinKind = Literal["sum", "max", "concat", "conv", "bilinear", "multiply"]
PoolKind = Literal["2d", "3d", "conv3d"]


@dataclass(frozen=True)
class Fusing:
    """Where and how the towers meet."""

    join: JoinKind = "conv"
    """How two maps become one: sum, max, concat, conv, bilinear or multiply."""
    stages: tuple[str, ...] = ("layer4",)
    """After which stages of the ResNets: any of layer2, layer3, layer4."""
    pool: PoolKind = "2d"
    """How snapshots become one: 2d (mean), 3d (maximum), conv3d (3 x 3 x 3 filters, then 3d)."""
    snapshots: int = 5
    """Moments of a video that are seen together (T)."""
    gap: int = 2
    """Frames from one snapshot to the next: 1 to 10."""
    two_towers: float = 0.0
    """Weight of the temporal tower's own loss (0: it keeps no head of its own)."""
    tune: Literal["all", "after"] = "all"
    """all: fine-tune everything. after: only what follows the fusion."""
    tower_lr: float = 0.1
    """The towers' learning rate as a multiple of --lr, which the new layers get."""
    dropout: float = 0.5
    """Share of the fused features that is dropped before the classifier."""
    sketch: int = 2048
    """Length of the bilinear sketch."""
    align: bool = True
    """Start conv and concat after layer4 at the sum of both streams' scores; without, conv starts
    by adding the rescaled maps channel by channel, as published."""

    probe: int = 0
    """Training videos to which the classifier alone is fitted before the first step, where it
    cannot start from both streams' scores (0: it starts as the spatial stream's)."""

    def __post_init__(self) -> None:
        if self.snapshots < 1:
            raise UserError(f"--snapshots {self.snapshots} must be at least 1")
        if not 1 <= self.gap <= 10:
            raise UserError(f"--gap {self.gap} must lie in 1 to 10 frames")
        if self.two_towers < 0 or self.tower_lr < 0:
            raise UserError("--two-towers and --tower-lr must not be negative")
        if not 0 <= self.dropout < 1:
            raise UserError(f"--dropout {self.dropout} must lie in [0, 1)")
        if self.probe < 0:
            raise UserError(f"--probe {self.probe} must be 0 or more videos")
        if self.sketch < 16:
            raise UserError(f"--sketch {self.sketch} must be at least 16")

    @property
    def sampling(self) -> Sampling:
        return Sampling(segments=self.snapshots, snippets="dense", gap=self.gap)


@dataclass(frozen=True)
class FusionRecipe:
    """Everything that decides what a fusion becomes, but the towers, the data and the seed."""

    fusing: Fusing = field(default_factory=Fusing)
    optim: Optimisation = field(default_factory=Optimisation)

    def settings(self) -> dict[str, Any]:
        """As JSON values."""
        return {"fusing": values_of(self.fusing), "optim": values_of(self.optim)}


def fusion_recipe_from(settings: dict[str, Any]) -> FusionRecipe:
    """The recipe that `FusionRecipe.settings` described."""
    return FusionRecipe(
        Fusing(**tuples(settings["fusing"])), Optimisation(**tuples(settings["optim"]))
    )


def modern() -> FusionRecipe:
    """For towers of ImageNet size: the fusion learns at 0.01, the towers at a tenth of it."""
    return FusionRecipe(Fusing(), Optimisation(lr=0.01, epochs=20, batch=32, ema=0.999))


def small() -> FusionRecipe:
    """Minutes on a laptop's CPU, from towers of the recipe `small`."""
    return FusionRecipe(
        Fusing(snapshots=2, gap=3, dropout=0.2, sketch=1024, probe=512),
        Optimisation(lr=0.005, epochs=2, batch=16, warmup=0.1),
    )


FUSION_RECIPES = {"modern": modern, "small": small}
