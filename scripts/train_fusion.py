"""Options of `twostream train fusion`."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from scripts.common import Trainable, TrainOptions, asked, asked_recipe
from storage.errors import UserError

RecipeName = Literal["modern", "small"]
RECIPE_NAMES: tuple[str, ...] = get_args(RecipeName)

DESCRIPTION = """Train the conv-level fusion of two trained streams.

    twostream train fusion --spatial runs/spatial --temporal runs/temporal --store S --labels L \\
        --out runs/fusion
    twostream train fusion --spatial A --temporal B --store S --labels L --out RUN --join sum \\
        --stages layer3 layer4 --two-towers 1

The same command again goes on with a run that was stopped. The defaults below are those of the
recipe {recipe}; every one can be changed by its option."""


@dataclass(frozen=True, kw_only=True)
class Options(TrainOptions):
    """What the recipe's own values are added to."""

    spatial: Path
    """Run folder of the trained spatial stream."""
    temporal: Path
    """Run folder of the trained temporal stream."""
    recipe: RecipeName = "modern"
    """Where all other values come from: modern, or small (minutes on a CPU)."""
    unfinished: bool = False
    """Accept towers whose training was stopped before its end."""


def options_for(kind: str, argv: list[str]) -> type:
    """The options, with the values of the recipe asked for, for the join asked for, as defaults."""
    from fusion.network import FusionOptions, fusion_recipe
    from streams.training import Optimisation

    chosen = fusion_recipe(asked_recipe(argv, RECIPE_NAMES), asked(argv, "--join"))
    parts = [
        ("fusion", FusionOptions, field(default=chosen.fusion)),
        ("optim", Optimisation, field(default=chosen.optim)),
    ]
    return make_dataclass("TrainFusionOptions", parts, bases=(Options,), frozen=True, kw_only=True)


def description(kind: str, argv: list[str]) -> str:
    return DESCRIPTION.format(recipe=asked_recipe(argv, RECIPE_NAMES))


def trainable(kind: str, options: Any) -> Trainable:
    """The fusion that the options ask for."""
    from fusion.network import FusionRecipe, FusionTask, load_tower
    from streams.networks import parameters_of
    from streams.samples import open_source

    spatial, temporal = (
        load_tower(getattr(options, kind), kind, options.unfinished)
        for kind in ("spatial", "temporal")
    )
    for tower in (spatial, temporal):
        if options.out.resolve() == tower.path.resolve():
            raise UserError(f"--out {options.out} is the {tower.kind} run itself; give another")
    inputs = {tower.kind: tower.recipe.input for tower in (spatial, temporal)}
    source = open_source(options.data, inputs)
    recipe = FusionRecipe(options.fusion, options.optim)
    task = FusionTask(spatial, temporal, recipe, source, options.seed)
    learning = parameters_of(task.build_model(initial=False))
    return Trainable(
        task,
        source.left_out(),
        title=f"{options.fusion.join} fusion after {' '.join(options.fusion.stages)}, "
        f"{learning / 1e6:.1f} M trained parameters",
        origin={
            "store": str(options.data.store.resolve()),
            "labels": str(options.data.labels.resolve()),
            **{tower.kind: str(tower.path.resolve()) for tower in (spatial, temporal)},
        },
        summary={"join": options.fusion.join, "trained_parameters": learning},
    )
