"""Options of `twostream train fusion`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from scripts.common import TrainOptions, asked, asked_recipe, run_command
from storage.errors import UserError

RecipeName = Literal["modern", "small"]

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


def fusion_options(name: str, join: str = "") -> Any:
    """The options, with the values of a recipe, for a join, as defaults."""
    from fusion.network import FusionOptions, fusion_recipe
    from streams.training import Optimisation

    chosen = fusion_recipe(name, join)
    parts = [
        ("fusion", FusionOptions, field(default=chosen.fusion)),
        ("optim", Optimisation, field(default=chosen.optim)),
    ]
    return make_dataclass("TrainFusionOptions", parts, bases=(Options,), frozen=True, kw_only=True)


def run(options: Any) -> int:
    from fusion.network import FusionRecipe, FusionTask, load_tower
    from streams.networks import parameters_of
    from streams.samples import open_source
    from streams.training import RunFolder, ranks, train

    spatial, temporal = (
        load_tower(getattr(options, kind), kind, options.unfinished)
        for kind in ("spatial", "temporal")
    )
    for tower in (spatial, temporal):
        if options.out.resolve() == tower.path.resolve():
            raise UserError(f"--out {options.out} is the {tower.kind} run itself; give another")
    folder = RunFolder(options.out)
    inputs = {tower.kind: tower.recipe.input for tower in (spatial, temporal)}
    source = open_source(options.data, inputs)
    recipe = FusionRecipe(options.fusion, options.optim)
    with ranks(options.loop.device) as where:
        task = FusionTask(spatial, temporal, recipe, source, options.seed)
        trained = parameters_of(task.build_model(initial=False))  # an unfit stage stops here
        if options.restart and where.first:
            folder.clear()
        origin = {
            "store": str(options.data.store.resolve()),
            "labels": str(options.data.labels.resolve()),
            "spatial": str(spatial.path.resolve()),
            "temporal": str(temporal.path.resolve()),
            "recipe": options.recipe,
            "name": options.name,
            "processes": where.world,
            "device": str(where.device),
        }
        left_out, quiet = source.left_out(), options.talk.quiet
        state = train(
            task, folder, where, options.loop, origin=origin, left_out=left_out, quiet=quiet
        )
        if not where.first:
            return 0
    best = state.best or {}
    if options.json:
        summary = {
            "run": str(folder.path),
            "kind": "fusion",
            "join": options.fusion.join,
            "steps": state.step,
            "validation": state.best,
            "seconds": round(state.seconds, 1),
            "trained_parameters": trained,
        }
        print(json.dumps(summary))
        return 0
    print(
        f"{options.fusion.join} fusion after {' '.join(options.fusion.stages)}: {state.step} steps "
        f"in {state.seconds:.0f} s, {trained / 1e6:.1f} M trained parameters; "
        f"best validation by {options.optim.best}: "
        f"top-1 {best.get('top1', 0):.1%}, loss {best.get('loss', 0):.3f}\n"
        f"{folder.best} is what `twostream score {folder.path}` uses; curve: {folder.curve}"
    )
    return 0


def main(kind: str, argv: list[str]) -> int:
    name = asked_recipe(argv, get_args(RecipeName))
    return run_command(
        fusion_options(name, asked(argv, "--join")),
        run,
        argv,
        prog="train fusion",
        description=DESCRIPTION.format(recipe=name),
    )
