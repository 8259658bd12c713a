"""Options of `twostream train sequence`."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from typing import Any, Literal, get_args

from scripts.common import RunOptions, Trainable, asked

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


def options_for(kind: str, argv: list[str]) -> Any:
    """The options, with the values of the recipe asked for, for the network asked for, as
    defaults."""
    from streams.sequences import SEQUENCE_PARTS, FeatureData, sequence_recipe

    chosen = sequence_recipe(recipe_name(argv), asked(argv, "--network"))
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


def recipe_name(argv: list[str]) -> str:
    value = asked(argv, "--recipe")
    return value if value in get_args(RecipeName) else "homework"


def description(kind: str, argv: list[str]) -> str:
    return DESCRIPTION.format(recipe=recipe_name(argv))


def trainable(kind: str, options: Any) -> Trainable:
    """The network over features that the options ask for."""
    from streams.networks import parameters_of
    from streams.sequences import SequenceRecipe, SequenceTask, open_feature_source, sequence_recipe

    chosen = SequenceRecipe(options.windows, options.net, options.optim)
    chosen.net.check_meant(sequence_recipe(options.recipe, chosen.net.network).net)
    source = open_feature_source(options.data)
    task = SequenceTask(chosen, source, options.seed)
    trained = parameters_of(task.build_model(initial=False))  # an unfit network stops here
    return Trainable(
        task,
        source.left_out(),
        title=f"{chosen.net.network} on features ({trained / 1e6:.2f} M trained parameters)",
        origin={
            "features": [str(path.resolve()) for path in options.data.features],
            "labels": str(options.data.labels.resolve()),
        },
        summary={
            "network": chosen.net.network,
            "trained_parameters": trained,
            "counts": {part: len(clips) for part, clips in source.parts.items()},
        },
    )
