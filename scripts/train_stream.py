"""Options of `twostream train spatial|temporal|difference`."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from typing import Any, Literal, get_args

from scripts.common import Trainable, TrainOptions, asked, asked_recipe
from streams.training import PARTS, Recipe, recipe

RecipeName = Literal["modern", "tsn", "2014", "small"]
RECIPE_NAMES: tuple[str, ...] = get_args(RecipeName)

DESCRIPTION = """Train the {kind} stream from a store.

    twostream train {kind} --store S --labels L --out RUN
    twostream train {kind} --store S --labels L --out RUN --recipe tsn --split 2
    torchrun --nproc-per-node 4 -m twostream train {kind} --store S --labels L --out RUN

The same command again goes on with a run that was stopped. The defaults below are those of the
recipe {recipe}; every one can be changed by its option."""


@dataclass(frozen=True, kw_only=True)
class Options(TrainOptions):
    """What the recipe's own values are added to."""

    recipe: RecipeName = "modern"
    """Where all other values come from: modern; tsn (2016); 2014 (Simonyan and Zisserman); small
    (minutes on a CPU)."""


def options_for(kind: str, argv: list[str]) -> type:
    """The options of a kind, with the values of the recipe asked for, for the network asked for, as
    defaults."""
    chosen = recipe(asked_recipe(argv, RECIPE_NAMES), kind, asked(argv, "--network"))
    parts = [(part, cls, field(default=getattr(chosen, part))) for part, cls in PARTS.items()]
    return make_dataclass(
        "TrainOptions",
        [("input", type(chosen.input), field(default=chosen.input)), *parts],
        bases=(Options,),
        frozen=True,
        kw_only=True,
    )


def description(kind: str, argv: list[str]) -> str:
    return DESCRIPTION.format(kind=kind, recipe=asked_recipe(argv, RECIPE_NAMES))


def trainable(kind: str, options: Any) -> Trainable:
    """The stream that the options ask for."""
    from streams.samples import open_source
    from streams.training import StreamTask

    chosen = Recipe(options.input, **{part: getattr(options, part) for part in PARTS})
    source = open_source(options.data, {kind: chosen.input})
    counts = {part: len(clips) for part, clips in source.parts.items()}
    left_out = {n: {p: len(v) for p, v in x.items()} for n, x in source.left_out().items()}
    return Trainable(
        StreamTask(kind, chosen, source, options.seed),
        source,
        title=f"{kind} stream",
        summary={"counts": counts, **left_out},
    )
