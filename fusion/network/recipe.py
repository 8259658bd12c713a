"""How two towers are fused and trained on, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from storage.errors import UserError
from streams.samples import Sampling
from streams.settings import NEWER, tuples, values_of
from streams.training import Optimisation

JoinKind = Literal["sum", "max", "concat", "conv", "bilinear", "multiply", "3d-fused"]
PoolKind = Literal["2d", "3d", "conv3d"]


@dataclass(frozen=True)
class FusionOptions:
    """Where and how the towers meet."""

    join: JoinKind = "conv"
    """How two maps become one: sum, max, concat, conv, bilinear or multiply; 3d-fused is that of
    Quo Vadis: both last maps, 3 x 3 x 3 filters over places and snapshots, maximum."""
    stages: tuple[str, ...] = ("last-1", "last")
    """After which parts of both networks. last: the last map; last-1: the last one of the size
    before, and so on. Or the names of parts, as layer3; SPATIAL:TEMPORAL where they differ."""
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
    tower_lr: float = 1.0
    """The towers' learning rate as a multiple of --lr, which the new layers get."""
    dropout: float = 0.5
    """Share of the fused features that is dropped before the classifier."""
    sketch: int = 2048
    """Length of the bilinear sketch."""
    root: Literal["place", "pooled"] = field(default="place", metadata=NEWER)
    """Where the bilinear sketch's signed root is taken: of what is pooled, as published, or at each
    place before."""
    hidden: int = field(default=0, metadata=NEWER)
    """3 x 3 filters with a ReLU over both maps, beside each join: what sees that two things are at
    one place (0: none; sum, concat and conv before a mean are then blind to it)."""
    align: bool = True
    """Start conv and concat after the last map at the sum of both streams' scores; without, conv
    starts by adding the rescaled maps channel by channel, as published."""

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
        if self.hidden < 0:
            raise UserError(f"--hidden {self.hidden} must be 0 or more filters")
        if self.join == "3d-fused" and (self.stages != ("last",) or self.hidden):
            raise UserError(
                "--join 3d-fused joins the last maps and has filters of its own: it takes "
                "--stages last and --hidden 0 only"
            )

    @property
    def sampling(self) -> Sampling:
        return Sampling(segments=self.snapshots, snippets="dense", gap=self.gap)


@dataclass(frozen=True)
class FusionRecipe:
    """Everything that decides what a fusion becomes, but the towers, the data and the seed."""

    fusion: FusionOptions = field(default_factory=FusionOptions)
    optim: Optimisation = field(default_factory=Optimisation)

    def settings(self) -> dict[str, Any]:
        """As JSON values."""
        return {"fusing": values_of(self.fusion), "optim": values_of(self.optim)}


def fusion_recipe_from(settings: dict[str, Any]) -> FusionRecipe:
    """The recipe that `FusionRecipe.settings` described."""
    return FusionRecipe(
        FusionOptions(**tuples(settings["fusing"])), Optimisation(**tuples(settings["optim"]))
    )


def modern() -> FusionRecipe:
    """For towers of ImageNet size, all layers at one rate."""
    return FusionRecipe(
        FusionOptions(hidden=256, root="pooled"),
        Optimisation(lr=0.005, epochs=20, batch=32, ema=0.999),
    )


def small() -> FusionRecipe:
    """Minutes on a laptop's CPU, from towers of the recipe `small`."""
    return FusionRecipe(
        FusionOptions(
            snapshots=2, gap=3, dropout=0.2, sketch=1024, probe=512, hidden=64, root="pooled"
        ),
        Optimisation(lr=0.005, epochs=2, batch=16, warmup=0.1),
    )


FUSION_RECIPES = {"modern": modern, "small": small}


def fusion_recipe(name: str, join: str = "") -> FusionRecipe:
    """A recipe by name, for a join if one is named: 3d-fused has settings of its own."""
    recipe = FUSION_RECIPES[name]()
    if join != "3d-fused":
        return recipe
    gap = 10 if name == "modern" else recipe.fusion.gap
    own = replace(
        recipe.fusion, join="3d-fused", stages=("last",), hidden=0, snapshots=5, gap=gap, probe=0
    )
    return replace(recipe, fusion=own)
