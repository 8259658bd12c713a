"""Draw what a trained run looks at: filters, Grad-CAM, guided back-propagation, attention.

    twostream explain runs/spatial --store S --labels L --out seen
    twostream explain runs/temporal --store S --videos Biking/v_Biking_g01_c01 --out seen
    twostream explain runs/c3d --store S --labels L --out seen --of true --parts conv1 conv5
    twostream explain runs/fusion --store S --labels L --out seen
    twostream explain runs/attention --features F --store S --labels L --out seen

OUT becomes a folder: explain.html, which needs nothing else, a PNG each picture, and the numbers
in explain.json. Runs of streams need captum (pip install 'twostream[explain]'). Runs of sequences
show where their attention lies, over time or over places.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import tyro

from scripts.common import OK, Talk, run_command
from storage.errors import UserError
from storage.progress import progress_bar

if TYPE_CHECKING:
    from fusion.explanation import Explanation
    from storage.catalog import Clip
    from streams.inputs import AnyInput
    from streams.scoring import Run

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a trained run of a stream, of a conv-level fusion or of a sequence network."""
    out: Path
    """The folder for page and pictures; an earlier page in it is replaced."""
    store: Path | None = None
    """The store of frames and flow."""
    features: tuple[Path, ...] = ()
    """The feature stores of a run of sequences, in the order of its training."""
    labels: Path | None = None
    """The label lists, as for `train`: videos are then taken from --part, and named by class."""
    part: Literal["train", "validation", "test"] = "test"
    """Whose videos are drawn."""
    split: int | None = None
    """Which split of the lists (default: the one that the run was trained on)."""
    any_counts: bool = False
    """Accept UCF-101 and HMDB-51 lists of other lengths than the official ones."""
    videos: tuple[str, ...] = ()
    """These videos, instead of some spread over the classes."""
    count: int = 6
    """How many videos are drawn."""
    of: str = "predicted"
    """The class whose reasons are drawn: predicted, true (with --labels), or a class by name."""
    at: str = ""
    """The part of the network whose maps Grad-CAM weighs, of a fusion one of its joins (default:
    the last whose maps have 4 x 4 places or more)."""
    parts: tuple[str, ...] = ()
    """Parts whose strongest activations are drawn (default: some, spread over the depth)."""
    filters: int = 8
    """Filters of each part."""
    best: int = 4
    """Activations of each filter, one a video; of networks for clips one, over time."""
    search: int = 0
    """Videos among which the strongest activations are looked for (0: 48, or 12 for networks for
    clips)."""
    windows: int = 10
    """Windows of a video that is longer than the run's --length, for runs of sequences."""
    other_store: bool = False
    """Accept a store that was made in another way than the one the run was trained on."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ..., or auto."""
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)

    def __post_init__(self) -> None:
        if self.search < 0:
            raise UserError(f"--search {self.search} must be 0 or more")
        for name in ("count", "filters", "best", "windows"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} {getattr(self, name)} must be at least 1")


def run(options: Options) -> int:
    from fusion.explanation import check_folder, write_explanation
    from streams.scoring import Run

    check_folder(options.out)
    trained = Run.open(options.run)
    if trained.kind == "sequence":
        explanation = of_sequence(trained, options)
    elif trained.kind == "fusion":
        explanation = of_fusion(trained, options)
    elif "input" in trained.settings["recipe"] and trained.kind != "motion":
        explanation = of_stream(trained, options)
    else:
        raise UserError(
            f"{options.run} is a run of kind {trained.kind}; give one of a stream, of a fusion or "
            "of a sequence network"
        )
    paths = write_explanation(explanation, options.out)
    drawn = len(explanation.numbers["videos"])
    if options.json:
        print(json.dumps({"out": str(paths[0]), "videos": drawn, "pictures": len(paths) - 2}))
    else:
        print(f"{explanation.title}: {drawn} videos, {len(paths) - 2} pictures -> {paths[0]}")
    return OK


def of_stream(trained: Run, options: Options) -> Explanation:
    from fusion.explanation import Wanted, explain_stream
    from streams.networks import entry_of
    from streams.training import pick_device

    recipe = trained.recipe
    path, usable, where = usable_clips(trained, options, {trained.kind: recipe.input})
    shown = asked_or_spread(options, {clip.video: clip for clip in usable}, where)
    of_clips = entry_of(recipe.network.name).layout == "clip"
    searched = spread(usable, options.search or (12 if of_clips else 48))
    wanted = Wanted(options.of, options.at, options.parts, options.filters, options.best)
    names = {clip.video for clip in (*shown, *searched)}
    with progress_bar(len(names), "video", "explain", quiet=options.talk.quiet) as bar:
        return explain_stream(
            trained,
            path,
            shown,
            searched,
            wanted,
            pick_device(options.device, 0),
            labelled=options.labels is not None,
            watch=bar.update,
        )


def of_fusion(trained: Run, options: Options) -> Explanation:
    from fusion.explanation import Wanted, explain_fusion
    from fusion.network import FusionScorer
    from streams.training import pick_device

    scorer = FusionScorer(trained, pick_device(options.device, 0))
    path, usable, where = usable_clips(trained, options, scorer.inputs)
    shown = asked_or_spread(options, {clip.video: clip for clip in usable}, where)
    wanted = Wanted(options.of, options.at, options.parts)
    with progress_bar(len(shown), "video", "explain", quiet=options.talk.quiet) as bar:
        return explain_fusion(
            trained,
            scorer,
            path,
            shown,
            wanted,
            labelled=options.labels is not None,
            watch=bar.update,
        )


def usable_clips(
    trained: Run, options: Options, inputs: Mapping[str, AnyInput]
) -> tuple[Path, list[Clip], str]:
    """The store, the clips in it that all inputs can look at, and what these are, in words."""
    from storage.store import open_store

    if options.store is None or options.features:
        raise UserError(f"{options.run} is a {trained.kind} run: it is explained with --store")
    with open_store(options.store) as store:
        for input_ in inputs.values():
            input_.check(store.meta)
        if not options.other_store:
            trained.check_store(inputs, store.meta, options.store)
        listed, where = clips_of(trained, options, store.videos())
        usable = [
            clip
            for clip in listed
            if all(i.repeatable(store.video(clip.video)) for i in inputs.values())
        ]
    if not usable:
        raise UserError(f"{where} has no video that the run can look at")
    return options.store, usable, where


def clips_of(trained: Run, options: Options, stored: Sequence[str]) -> tuple[list[Clip], str]:
    """The listed clips of the part, or all stored videos; and what they are, in words."""
    from storage.catalog import Clip, load_catalog, match_clips

    if options.labels is None:
        return [Clip(video, -1, video) for video in stored], str(options.store)
    catalog = load_catalog(
        options.labels, validation=trained.validation, official_counts=not options.any_counts
    )
    if catalog.classes != trained.classes:
        raise UserError(
            f"{options.labels} has other classes than {options.run} was trained on; give the "
            "labels of the training"
        )
    split = trained.split if options.split is None else options.split
    listed = catalog.part(split, options.part)
    clips = match_clips(listed, stored, catalog.videos(split)).clips
    return clips, f"the {options.part} part of {options.labels} in {options.store}"


def asked_or_spread(options: Options, known: Mapping[str, T], where: str) -> list[T]:
    """Of the videos there are, those of --videos, or some that are spread over the classes."""
    for video in options.videos:
        if video not in known:
            raise UserError(f"--videos {video} is not in {where}")
    if options.videos:
        return [known[video] for video in dict.fromkeys(options.videos)]
    return spread(list(known.values()), options.count)


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most so many, evenly over the list, which is sorted by class."""
    if len(items) <= count:
        return list(items)
    return [items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count)]


def of_sequence(trained: Run, options: Options) -> Explanation:
    from fusion.explanation import explain_sequence
    from streams.sequences import FeatureData, SequenceScorer, open_feature_source
    from streams.training import pick_device

    if not options.features or options.labels is None:
        raise UserError(
            f"{options.run} learned on features: it is explained with --features, one store or "
            "more, as in training, and --labels"
        )
    scorer = SequenceScorer(trained, pick_device(options.device, 0))
    data = FeatureData(
        features=options.features,
        labels=options.labels,
        split=trained.split if options.split is None else options.split,
        validation=trained.validation,
        any_counts=options.any_counts,
        empty_classes=True,
    )
    source = open_feature_source(data, (options.part,))
    scorer.check(source, other_store=options.other_store)
    row_of = {clip.video: row for row, clip in enumerate(source.parts[options.part])}
    rows = asked_or_spread(options, row_of, f"the {options.part} part of the features")
    with progress_bar(len(rows), "video", "explain", quiet=options.talk.quiet) as bar:
        return explain_sequence(
            scorer,
            source,
            options.part,
            rows,
            options.store,
            windows=options.windows,
            watch=bar.update,
        )


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="explain", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
