"""Options of `twostream train sequence`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, make_dataclass
from typing import Any, Literal, get_args

from scripts.common import RunOptions, asked, mistake, run_command
from storage.errors import UserError
from streams.training import wait_asleep

RecipeName = Literal["homework", "modern", "small"]

DESCRIPTION = """Train a network over sequences of features that `twostream features` wrote.

    twostream train sequence --features rgb.features --labels L --out runs/lstm
    twostream train sequence --features rgb.features flow.features --labels L --out RUN \\
        --network gru --layers 2 --truncation 30
    twostream train sequence --features maps.features --labels L --out RUN --network actionvlad
    twostream train sequence --features F --labels L --out RUN --recipe small --length 16

Several feature stores stand side by side at each step (early fusion). The same command again goes
on with a run that was stopped. The defaults below are those of the recipe {recipe}; every one can
be changed by its option."""


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """What the recipe's own values are added to."""

    recipe: RecipeName = "homework"
    """Where all other values come from: homework; modern (averaged weights, no cuts); small
    (seconds on a CPU)."""


def sequence_options(name: str, network: str = "") -> Any:
    """The options, with the values of a recipe, for a network, as defaults."""
    from streams.sequences import SEQUENCE_PARTS, FeatureData, sequence_recipe

    chosen = sequence_recipe(name, network)
    parts = [
        (part, cls, field(default=getattr(chosen, part))) for part, cls in SEQUENCE_PARTS.items()
    ]
    return make_dataclass(
        "TrainSequenceOptions",
        [("data", FeatureData), *parts],
        bases=(Options,),
        frozen=True,
        kw_only=True,
    )


def run(options: Any) -> int:
    wait_asleep()
    from streams.networks import parameters_of
    from streams.sequences import SequenceRecipe, SequenceTask, open_feature_source, sequence_recipe
    from streams.training import RunFolder, ranks, train

    chosen = SequenceRecipe(options.windows, options.net, options.optim)
    chosen.net.check_meant(sequence_recipe(options.recipe, chosen.net.network).net)
    source = open_feature_source(options.data)
    folder = RunFolder(options.out)
    with ranks(options.loop.device) as where:
        task = SequenceTask(chosen, source, options.seed)
        trained = parameters_of(task.build_model(initial=False))  # an unfit network stops here
        if options.restart and where.first:
            folder.clear()
        origin = {
            "features": [str(path.resolve()) for path in options.data.features],
            "labels": str(options.data.labels.resolve()),
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
            "kind": "sequence",
            "network": chosen.net.network,
            "steps": state.step,
            "validation": state.best,
            "seconds": round(state.seconds, 1),
            "trained_parameters": trained,
            "counts": {part: len(clips) for part, clips in source.parts.items()},
        }
        print(json.dumps(summary))
        return 0
    print(
        f"{chosen.net.network} on features: {state.step} steps in {state.seconds:.0f} s, "
        f"{trained / 1e6:.2f} M trained parameters; best validation by {chosen.optim.best}: "
        f"top-1 {best.get('top1', 0):.1%}, loss {best.get('loss', 0):.3f}\n"
        f"{folder.best} is what `twostream score {folder.path}` uses; curve: {folder.curve}"
    )
    return 0


def main(kind: str, argv: list[str]) -> int:
    value = asked(argv, "--recipe")
    name = value if value in get_args(RecipeName) else "homework"
    try:
        options = sequence_options(name, asked(argv, "--network"))
    except UserError as error:
        return mistake(f"train {kind}", error)
    return run_command(
        options, run, argv, prog=f"train {kind}", description=DESCRIPTION.format(recipe=name)
    )
