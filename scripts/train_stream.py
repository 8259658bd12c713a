"""Options of `twostream train spatial|temporal|difference`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, make_dataclass
from typing import Any, Literal, get_args

from scripts.common import (
    TrainOptions,
    asked,
    asked_recipe,
    mistake,
    option_values,
    run_command,
    yaml_text,
)
from storage.errors import UserError
from streams.training import PARTS, Recipe, percent, recipe, wait_asleep

RecipeName = Literal["modern", "tsn", "2014", "small"]

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


def options_type(kind: str, name: str, network: str = "") -> Any:
    """The options of a kind, with the values of a recipe, for a network, as defaults."""
    chosen = recipe(name, kind, network)
    parts = [(part, cls, field(default=getattr(chosen, part))) for part, cls in PARTS.items()]
    return make_dataclass(
        "TrainOptions",
        [("input", type(chosen.input), field(default=chosen.input)), *parts],
        bases=(Options,),
        frozen=True,
        kw_only=True,
    )


def run(kind: str, options: Any) -> int:
    wait_asleep()
    from streams.samples import open_source
    from streams.training import RunFolder, StreamTask, ranks, train

    chosen = Recipe(options.input, **{part: getattr(options, part) for part in PARTS})
    folder = RunFolder(options.out)
    source = open_source(options.data, {kind: chosen.input})
    with ranks(options.loop.device) as where:
        task = StreamTask(kind, chosen, source, options.seed)
        if options.restart and where.first:
            folder.clear()
        origin = {
            "store": str(options.data.store.resolve()),
            "labels": str(options.data.labels.resolve()),
            "recipe": options.recipe,
            "name": options.name,
            "processes": where.world,
            "device": str(where.device),
        }
        left_out, quiet = source.left_out(), options.talk.quiet
        state = train(
            task,
            folder,
            where,
            options.loop,
            origin=origin,
            left_out=left_out,
            quiet=quiet,
            options_text=yaml_text(kind, option_values(options)),
            longer=options.resume is not None,
        )
        if not where.first:
            return 0
        summary = {
            "run": str(folder.path),
            "kind": kind,
            "steps": state.step,
            "validation": state.best,
            "seconds": round(state.seconds, 1),
            "counts": {part: len(clips) for part, clips in source.parts.items()},
            **{name: {p: len(v) for p, v in x.items()} for name, x in source.left_out().items()},
        }
    if options.json:
        print(json.dumps(summary))
        return 0
    best, checked = state.best or {}, len(source.parts["validation"])
    print(
        f"{kind} stream: {state.step} steps in {state.seconds:.0f} s; "
        f"best validation by {chosen.optim.best}: "
        f"top-1 {percent(best.get('top1', 0), checked)}, loss {best.get('loss', 0):.3f}\n"
        f"{folder.best} is what `twostream score {folder.path}` uses; curve: {folder.curve}"
    )
    return 0


def main(kind: str, argv: list[str]) -> int:
    name = asked_recipe(argv, get_args(RecipeName))
    try:
        options = options_type(kind, name, asked(argv, "--network"))
    except UserError as error:
        return mistake(f"train {kind}", error)
    return run_command(
        options,
        lambda options: run(kind, options),
        argv,
        prog=f"train {kind}",
        description=DESCRIPTION.format(kind=kind, recipe=name),
    )
