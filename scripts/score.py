"""Write the class scores of a trained run.

    twostream score runs/temporal --store S --labels L --out temporal.npz
    twostream score runs/temporal --store S --labels L --part validation --out temporal-val.npz
    twostream score runs/spatial --store S --labels L --views 25x1 --out spatial-quick.npz
    twostream score runs/lstm --features rgb.features --labels L --out lstm.npz

Tables of the validation part are what `twostream fuse --fit` finds weights on.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from scripts.common import Talk, run_command, scorer_module
from storage.errors import UserError
from storage.progress import progress_bar
from streams.samples import DataOptions
from streams.training import LoopOptions, wait_asleep

if TYPE_CHECKING:
    from storage.scores import ScoreTable
    from streams.scoring import Run


@dataclass(frozen=True)
class Options:
    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a trained run."""
    labels: Path
    """The label lists, as for `train`."""
    out: Path
    """The score table to write, in the format that its ending names: .npz (which alone keeps
    features), .csv, .json, .mat, .h5."""
    store: Path | None = None
    """The store that `extract` made; not for runs of sequences."""
    features: tuple[Path, ...] = ()
    """The feature stores of a run of sequences, in the order of its training."""
    windows: int = 10
    """Windows of a video that is longer than the run's --length, for runs of sequences."""
    part: Literal["train", "validation", "test"] = "test"
    """Whose scores. Fusion weights are found on validation."""
    split: int | None = None
    """Which split of the lists (default: the one that the run was trained on)."""
    views: str = "auto"
    """SNAPSHOTSxCROPS, or wholexCROPS: all of a video as one clip, for networks that take any
    length; auto: 25x10, or 25x5 where training did not mirror."""
    precision: Literal["off", "auto", "bf16", "fp16"] = "off"
    """Numbers that the network computes in: off is float32; auto is bf16 where a GPU has it. The
    table says which."""
    name: str | None = None
    """The stream's name in tables and reports (default: the run's --name, else its kind)."""
    average: Literal["logits", "probabilities", "sparsity"] = "logits"
    """What is averaged over the crops, and written; a crop's snapshots give logits together.
    sparsity, FstCN's way: a snapshot's crops weigh as they are sure, then each class has its
    highest score of all snapshots."""
    missing: Literal["skip", "stop"] = "skip"
    """What to do about listed videos that the store does not hold."""
    short: Literal["pad", "skip", "stop"] = "pad"
    """What to do about videos too short for the input: repeat their last pair, skip, or stop."""
    unfinished: bool = False
    """Score the best weights so far of a run that was not trained to its end; the table says so."""
    any_counts: bool = False
    """Accept UCF-101 and HMDB-51 lists of other lengths than the official ones."""
    other_lists: bool = False
    """Accept lists or a split that the run was not trained on, though its test part may then hold
    videos that the run has learned from."""
    other_store: bool = False
    """Accept a store that was made in another way than the one the run was trained on."""
    loop: LoopOptions = field(default_factory=LoopOptions)
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    wait_asleep()
    from storage.scores import check_ending
    from streams.samples import open_source
    from streams.scoring import Run, Views, score_table
    from streams.training import pick_device

    check_ending(options.out)
    trained = Run.open(options.run)
    if not trained.finished and not options.unfinished:
        raise UserError(
            f"{options.run} is not trained to its end; let `twostream train --resume "
            f"{options.run}` go on with it, or pass --unfinished to score its best weights so far"
        )
    device = pick_device(options.loop.device, 0)
    if trained.kind == "sequence":
        from scripts.score_sequence import score_sequence

        return score_sequence(trained, options, device)
    if options.store is None or options.features:
        raise UserError(f"{options.run} is a {trained.kind} run: it is scored with --store")
    scorer = scorer_module(trained.kind).open_scorer(trained, device)
    views = Views.parse(options.views, scorer.crop.flip)
    if not options.out.parent.is_dir():
        raise UserError(f"--out {options.out}: the folder {options.out.parent} does not exist")
    data = DataOptions(
        store=options.store,
        labels=options.labels,
        split=trained.split if options.split is None else options.split,
        validation=trained.validation,
        missing=options.missing,
        short=options.short,
        any_counts=options.any_counts,
        empty_classes=True,
    )
    source = open_source(data, scorer.inputs, (options.part,))
    if not options.other_store:
        trained.check_store(scorer.inputs, source.config, options.store)
    check_labels(trained, source, options)
    count = len(source.parts[options.part])
    with progress_bar(count, "video", "score", quiet=options.talk.quiet) as bar:
        table = score_table(
            scorer,
            source,
            options.part,
            views,
            device,
            options.loop,
            stream=options.name or trained.name,
            precision=options.precision,
            average=options.average,
            watch=bar.update,
            provenance={
                "run": str(options.run.resolve()),
                "recipe": trained.origin.get("recipe", ""),
                "store": str(options.store),
                "store_fingerprint": source.config.fingerprint,
                **origin_of(trained, source),
                **source.left_out(),
            },
        )
    used, short = set(table.videos), source.short[options.part]
    more = {
        "short": len(short),
        "padded": sum(video in used for video in short),
        "views": str(views),
    }
    missing = len(source.missing[options.part])
    return keep(trained, table, options, missing, f"{views} views of each", more)


def keep(
    trained: Run,
    table: ScoreTable,
    options: Options,
    missing: int,
    how: str,
    more: dict[str, Any],
) -> int:
    """Write the table and say what is in it."""
    from storage.scores import write_scores
    from streams.training import percent

    write_scores(table, options.out)
    videos = len(table.videos)
    right = int((table.scores.argmax(1) == table.labels).sum())
    top1 = right / videos
    if options.json:
        summary = {"out": str(options.out), "videos": videos, "missing": missing} | more
        print(json.dumps(summary | {"unfinished": not trained.finished, "top1": round(top1, 5)}))
    else:
        short = ""
        if "short" in more:
            short = (
                f", {more['short']} too short ({more['padded']} padded: their last pair repeats)"
            )
        print(
            f"{table.stream}, split {table.split} {table.part}: {right} of {videos} videos right, "
            f"top-1 {percent(top1, videos)}, with {how}\n"
            f"{options.out}: {videos} videos x {len(table.classes)} classes of {table.kind}; "
            f"{missing} listed videos missing{short}"
        )
        if not trained.finished:
            print(f"{options.run} was not trained to its end; the table says so")
    return 0


def origin_of(trained, source) -> dict[str, object]:  # type: ignore[no-untyped-def]
    """What a table says of the data that the run learned from."""
    data = trained.settings["data"]
    if trained.adopted:
        return {"adopted": data["adopted"], "validation": trained.validation}
    return {
        "validation": trained.validation,
        "trained_on_split": trained.split,
        "other_lists": source.catalog.fingerprint != data["lists"],
        **({} if trained.finished else {"unfinished": True}),
    }


def check_labels(trained, source, options) -> None:  # type: ignore[no-untyped-def]
    """Classes as in training; and on train and validation parts, the very lists of training."""
    if source.classes != trained.classes:
        extra = sorted(set(source.classes) ^ set(trained.classes))
        raise UserError(
            f"{options.labels} has {len(source.classes)} classes, {options.run} was trained on "
            f"{len(trained.classes)} ("
            + (f"not in both: {', '.join(extra[:3])}" if extra else "the same, in another order")
            + "); give the labels of the training"
        )
    if trained.adopted:
        return
    lists = trained.settings["data"]["lists"]
    same_lists = source.catalog.fingerprint == lists
    if options.part != "test" and not same_lists:
        raise UserError(
            f"{options.labels} are not the lists that {options.run} was trained on, so what is its "
            f"{options.part} part cannot be told; give those lists, or --part test"
        )
    if options.other_lists or (same_lists and source.split == trained.split):
        return
    others = f"split {source.split} of {options.labels}" if same_lists else f"{options.labels}"
    raise UserError(
        f"{options.run} was trained on "
        + (f"split {trained.split}" if same_lists else "other lists")
        + f": {others} may test on videos that it has learned from. Give the lists and the split "
        "of the training, or say --other-lists"
    )


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="score", description=(__doc__ or "").strip())


if __name__ == "__main__":
    sys.exit(main())
