"""Options of `twostream train spatial|temporal|difference|motion`."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from scripts.common import Trainable, TrainOptions, asked, asked_recipe
from streams.training import PARTS, Recipe, RunFolder, recipe, recipe_from

if TYPE_CHECKING:
    from streams.training import Ranks

RecipeName = Literal["modern", "published", "tsn", "2014", "small"]
RECIPE_NAMES: tuple[str, ...] = get_args(RecipeName)

DESCRIPTION = """Train {what} from a store.

    twostream train {kind} --store S --labels L --out RUN
    twostream train {kind} --store S --labels L --out RUN --recipe {example} --split 2
    torchrun --nproc-per-node 4 -m twostream train {kind} --store S --labels L --out RUN

The same command again goes on with a run that was stopped. The defaults below are those of the
recipe {recipe}; every one can be changed by its option."""


@dataclass(frozen=True, kw_only=True)
class Options(TrainOptions):
    """What the recipe's own values are added to."""

    recipe: RecipeName = "modern"
    """Where all other values come from: modern; published (what the paper of --network states);
    tsn (2016); 2014 (Simonyan and Zisserman); small (minutes on a CPU)."""


def options_for(kind: str, argv: list[str]) -> type:
    """The options of a kind, with the values of the recipe asked for, for the network asked for, as
    defaults. Where weights of a run are given, the network and the input are that run's."""
    name, network = asked_recipe(argv, RECIPE_NAMES), asked(argv, "--network")
    started = recipe_from_run(asked(argv, "--weights"), kind, name, network)
    chosen = started or recipe(name, kind, network)
    parts = [(part, cls, field(default=getattr(chosen, part))) for part, cls in PARTS.items()]
    return make_dataclass(
        "TrainOptions",
        [("input", type(chosen.input), field(default=chosen.input)), *parts],
        bases=(Options,),
        frozen=True,
        kw_only=True,
    )


def recipe_from_run(weights: str, kind: str, name: str, network: str) -> Recipe | None:
    """The recipe for going on from a run of the same kind and network; None where there is none."""
    folder = RunFolder(weights)
    if not weights or not folder.config.is_file():
        return None
    settings = folder.read()["settings"]
    if settings["kind"] != kind:  # flow from frames: the first layer is adapted
        return None
    run_of = recipe_from(settings["recipe"])
    known = run_of.network
    if network not in ("", known.name):
        return None
    chosen = recipe(name, kind, known.network)
    network_options = replace(
        chosen.network,
        weights=weights,
        depth=known.depth,
        network=known.network,
        extra=known.extra,
    )
    crop = replace(chosen.crop, size=run_of.crop.size)
    return replace(chosen, input=run_of.input, crop=crop, network=network_options)


def description(kind: str, argv: list[str]) -> str:
    return DESCRIPTION.format(
        kind=kind,
        what="MotionNet without labels" if kind == "motion" else f"the {kind} stream",
        example="small" if kind == "motion" else "tsn",
        recipe=asked_recipe(argv, RECIPE_NAMES),
    )


def trainable(kind: str, options: Any) -> Trainable:
    """The stream that the options ask for."""
    from streams.samples import open_source
    from streams.training import MotionTask, StreamTask, check_memory

    chosen = Recipe(options.input, **{part: getattr(options, part) for part in PARTS})
    source = open_source(options.data, {kind: chosen.input})
    counts = {part: len(clips) for part, clips in source.parts.items()}
    left_out = {n: {p: len(v) for p, v in x.items()} for n, x in source.left_out().items()}
    motion = kind == "motion"
    task = (MotionTask if motion else StreamTask)(kind, chosen, source, options.seed)

    def check(where: Ranks) -> None:
        if not motion:
            check_memory(chosen, len(source.classes), where.device, where.world)

    return Trainable(
        task,
        source.left_out(),
        title=f"{kind} stream",
        origin={
            "store": str(options.data.store.resolve()),
            "labels": str(options.data.labels.resolve()),
        },
        summary={"counts": counts, **left_out},
        check=check,
        use="`--network hidden-two-stream --weights {run}` starts from" if motion else "",
    )
