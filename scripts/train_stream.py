"""Options of `twostream train spatial|temporal|difference|motion|transfer`."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from scripts.common import Trainable, TrainOptions, asked, asked_recipe
from streams.training import PARTS, WITHOUT_LABELS, Recipe, RunFolder, recipe, recipe_from

if TYPE_CHECKING:
    from streams.training import Ranks, Task

RecipeName = Literal["modern", "published", "tsn", "2014", "small"]
RECIPE_NAMES: tuple[str, ...] = get_args(RecipeName)

MotionRecipe = Literal["modern", "published", "small"]
TransferRecipe = Literal["modern", "small"]

DESCRIPTION = """Train {what} from a store.

    twostream train {kind} --store S --labels L --out RUN{more}
    twostream train {kind} --store S --labels L --out RUN{more} --recipe {example} --split 2
{many}
The same command again goes on with a run that was stopped. The defaults below are those of the
recipe {recipe}; every one can be changed by its option."""


MANY = """\
    torchrun --nproc-per-node 4 -m twostream train {kind} --store S --labels L --out RUN
"""


@dataclass(frozen=True, kw_only=True)
class Options(TrainOptions):
    """What the recipe's own values are added to."""

    recipe: RecipeName = "modern"
    """Where all other values come from: modern; published (what the paper of --network states);
    tsn (2016); 2014 (Simonyan and Zisserman); small (minutes on a CPU)."""


@dataclass(frozen=True, kw_only=True)
class MotionOptions(TrainOptions):
    """What the recipe's own values are added to."""

    recipe: MotionRecipe = "modern"
    """Where all other values come from: modern; published (what the paper of --network states);
    small (minutes on a CPU)."""


@dataclass(frozen=True, kw_only=True)
class TransferOptions(TrainOptions):
    """What the recipe's own values are added to."""

    pictures: str
    """The network for pictures that stays as it is: a spatial run's folder, or torchvision:NAME
    with ImageNet's weights."""
    recipe: TransferRecipe = "modern"
    """Where all other values come from: modern, or small (minutes on a CPU)."""


OPTIONS: dict[str, type] = {"motion": MotionOptions, "transfer": TransferOptions}
"""Kind -> its options, where they are not those of a stream."""
WHAT = {
    "motion": "MotionNet without labels",
    "transfer": "a network for clips beside one for pictures, without labels,",
}
USES = {
    "motion": "`--network hidden-two-stream --weights {run}` starts from",
    "transfer": "`twostream train spatial --weights {run}` starts from",
}


def names_for(kind: str) -> tuple[str, ...]:
    """The recipes of a kind."""
    return WITHOUT_LABELS[kind][1] if kind in WITHOUT_LABELS else RECIPE_NAMES


def options_for(kind: str, argv: list[str]) -> type:
    """The options of a kind, with the values of the recipe asked for, for the network asked for, as
    defaults. Where weights of a run are given, the network and the input are that run's."""
    name, network = asked_recipe(argv, names_for(kind)), asked(argv, "--network")
    started = recipe_from_run(asked(argv, "--weights"), kind, name, network)
    chosen = started or recipe(name, kind, network)
    parts = [(part, cls, field(default=getattr(chosen, part))) for part, cls in PARTS.items()]
    return make_dataclass(
        "TrainOptions",
        [("input", type(chosen.input), field(default=chosen.input)), *parts],
        bases=(OPTIONS.get(kind, Options),),
        frozen=True,
        kw_only=True,
    )


def recipe_from_run(weights: str, kind: str, name: str, network: str) -> Recipe | None:
    """The recipe for going on from a run of the same kind; None where there is none."""
    folder = RunFolder(weights)
    if not weights or not folder.config.is_file():
        return None
    settings = folder.read()["settings"]
    learnt = "spatial" if settings["kind"] == "transfer" else settings["kind"]
    if learnt != kind:  # flow from frames: the first layer is adapted
        return None
    run_of = recipe_from(settings["recipe"])
    known = run_of.network
    if network not in ("", known.name):
        return beside(recipe(name, kind, network), run_of, weights)
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


def beside(chosen: Recipe, run_of: Recipe, weights: str) -> Recipe:
    """The recipe of a network that starts from a run of one that is built alike."""
    mine, its = chosen.network.name, run_of.network
    network, crop = chosen.network, chosen.crop
    if mine == "inception-v1" and its.name == "i3d":
        network = replace(network, extra=("padding=same",))
    elif mine.startswith("karpathy-") and its.name.startswith("karpathy-"):
        network, crop = replace(network, extra=its.extra), replace(crop, size=run_of.crop.size)
    return replace(chosen, crop=crop, network=replace(network, weights=weights))


def description(kind: str, argv: list[str]) -> str:
    return DESCRIPTION.format(
        kind=kind,
        what=WHAT.get(kind, f"the {kind} stream"),
        example="small" if kind in WITHOUT_LABELS else "tsn",
        recipe=asked_recipe(argv, names_for(kind)),
        more=" --pictures RUN2" if kind == "transfer" else "",
        many="" if kind == "transfer" else MANY.format(kind=kind),
    )


def trainable(kind: str, options: Any) -> Trainable:
    """The stream that the options ask for."""
    from streams.samples import open_source
    from streams.training import MotionTask, StreamTask, TransferTask, check_memory

    chosen = Recipe(options.input, **{part: getattr(options, part) for part in PARTS})
    source = open_source(options.data, {kind: chosen.input})
    counts = {part: len(clips) for part, clips in source.parts.items()}
    left_out = {n: {p: len(v) for p, v in x.items()} for n, x in source.left_out().items()}
    origin = {
        "store": str(options.data.store.resolve()),
        "labels": str(options.data.labels.resolve()),
    }
    if kind == "transfer":
        folder = Path(options.pictures)
        origin["pictures"] = str(folder.resolve()) if folder.is_dir() else options.pictures
        task: Task = TransferTask(kind, chosen, source, options.seed, options.pictures)
    else:
        task = (MotionTask if kind == "motion" else StreamTask)(kind, chosen, source, options.seed)

    def check(where: Ranks) -> None:
        if kind != "motion":  # of a transfer, the clip network's part alone
            check_memory(chosen, len(source.classes), where.device, where.world)

    return Trainable(
        task,
        source.left_out(),
        title=kind if kind in WITHOUT_LABELS else f"{kind} stream",
        origin=origin,
        summary={"counts": counts, **left_out},
        check=check,
        use=USES.get(kind, ""),
    )
