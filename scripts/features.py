"""Write the features of videos: of a trained network, of trajectories, or of another tool.

    twostream features runs/spatial --store ucf.store --out rgb.features --labels L
    twostream features runs/c3d --store ucf.store --out c3d.features --at fc6 --every 8
    twostream features runs/vgg --store ucf.store --out maps.features --at conv5 --snapshots 25
    twostream features idt --store ucf.store --out idt.features --labels L --split 1
    twostream features other.h5 --out other.features --name "I3D, RGB"

The same command again goes on with a feature store that was begun; a video is there whole or not
at all. --labels says which videos mean and deviation (and the encoder of trajectories) are taken
of: the training part of the split. `twostream train sequence` and `twostream svm` learn from it.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from scripts.common import OK, Talk, run_command
from scripts.features_idt import TrajectoryOptions
from storage.errors import UserError
from storage.progress import progress_bar
from streams.scoring import Tap
from streams.training import LoopOptions, wait_asleep

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|idt|FILES")]
    """Folder of a trained stream's run; idt, improved trajectories as Fisher vectors; or the
    features of another tool: an HDF5 file, or a folder of .npy files, (T, D) or (T, D, h, w)."""
    out: Path
    """The feature store; it is made, or gone on with."""
    store: Path | None = None
    """The store that `extract` made; not for FILES."""
    tap: Tap = field(default_factory=Tap)
    labels: Path | None = None
    """The label lists, as for `train`; features of all stored videos are written either way."""
    split: int = 1
    """Which split of the lists."""
    validation: float = 0.15
    """As for `train`: what is cut off from the training part does not count as training."""
    any_counts: bool = False
    """Accept UCF-101 and HMDB-51 lists of other lengths than the official ones."""
    videos: tuple[str, ...] = ()
    """Only these videos."""
    other_store: bool = False
    """Accept a store that was made in another way than the one the run was trained on."""
    name: str = ""
    """Of FILES: what made them."""
    idt: TrajectoryOptions = field(default_factory=TrajectoryOptions)
    loop: LoopOptions = field(default_factory=LoopOptions)
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    wait_asleep()
    if foreign(options):
        return take_over(options)
    if options.store is None:
        raise UserError("--store names the store of flow and frames; only FILES need none")
    from storage.features import open_features
    from storage.store import open_store

    with open_store(options.store) as source:
        made, stored = source.meta, source.videos()
    wanted = chosen(options, stored)
    training = training_part(options, stored)
    if options.source == "idt":
        from scripts.features_idt import (
            check_store,
            fitted_encoder,
            trajectory_config,
            write_vectors,
        )

        check_store(options.store, made)
        config = trajectory_config(
            options.idt, fitted_to(options, training), made, options.tap.dtype
        )
        store = open_features(options.out, "a", config)
        workers = options.loop.loading_processes()
        left = [video for video in wanted if video not in store]
        if left and not store.encoder.exists():
            if not training[1]:
                raise UserError(
                    f"{options.out} has no encoder yet: --labels says what to fit it to"
                )
            log.info("fitting the encoder to the descriptors of training videos")
            fitted_encoder(options.store, training[1], options.idt, workers).save(store.encoder)
        with progress_bar(len(left), "video", "features", quiet=options.talk.quiet) as bar:
            without = write_vectors(options.store, store, left, workers, bar.update)
        if without:
            log.warning(
                "%d videos have no track, zeros stand for them: %s", len(without), few(without)
            )
        unusable: list[str] = []
    else:
        from streams.scoring import NetworkTap, Run, usable
        from streams.training import pick_device

        trained = Run.open(Path(options.source))
        tapped = NetworkTap(trained, options.tap, pick_device(options.loop.device, 0))
        if not options.other_store:
            trained.check_store(tapped.inputs, made, options.store)
        good = dict(usable(options.store, tapped.inputs, wanted))
        unusable = [video for video, fit in good.items() if not fit]
        if unusable:
            log.warning("%d videos are too short to look at: %s", len(unusable), few(unusable))
        store = open_features(options.out, "a", tapped.config(made.to_json()))
        left = [video for video, fit in good.items() if fit and video not in store]
        with progress_bar(len(left), "video", "features", quiet=options.talk.quiet) as bar:
            tapped.write(options.store, left, store, options.loop, bar.update)
    counted = keep_statistics(options, store, training)
    store.close()
    tell(options, len(left), len(wanted) - len(left) - len(unusable), unusable, counted)
    return OK


def foreign(options: Options) -> bool:
    """Whether the source is the features of another tool."""
    path = Path(options.source)
    is_run = (path / "config.json").exists()
    return options.source != "idt" and not is_run and (path.is_file() or any(path.glob("**/*.npy")))


def take_over(options: Options) -> int:
    from storage.features import import_features

    at = "" if options.tap.at == "pool" else options.tap.at
    added, there = import_features(
        Path(options.source), options.out, at=at, name=options.name, dtype=options.tap.dtype
    )
    tell(options, len(added), len(there), [], 0)
    return OK


def chosen(options: Options, stored: list[str]) -> list[str]:
    known = set(stored)
    for video in options.videos:
        if video not in known:
            raise UserError(f"{video!r} is not in {options.store}; `twostream inspect` lists them")
    return list(options.videos) or stored


def training_part(options: Options, stored: list[str]) -> tuple[str, list[str]]:
    """The name of the training part, and its stored videos; empty without --labels."""
    if options.labels is None:
        return "", []
    from storage.catalog import load_catalog, match_clips, part_name

    catalog = load_catalog(
        options.labels, validation=options.validation, official_counts=not options.any_counts
    )
    listed = catalog.part(options.split, "train")
    clips = match_clips(listed, stored, catalog.videos(options.split)).clips
    if not clips:
        raise UserError(
            f"none of the {len(listed)} training videos of {options.labels} is in {options.store}"
        )
    return part_name(catalog, options.split), [clip.video for clip in clips]


def fitted_to(options: Options, training: tuple[str, list[str]]) -> str:
    """The part that the encoder is fitted to: that of --labels, or what the store says."""
    from storage.features import holds_features, open_features

    if training[0]:
        return training[0]
    if holds_features(options.out):
        with open_features(options.out) as store:
            return str(store.meta.network.get("fitted_to", ""))
    raise UserError(
        "idt fits an encoder to the training part: --labels says which videos those are"
    )


def keep_statistics(options: Options, store: Any, training: tuple[str, list[str]]) -> int:
    """Write mean and deviation of the training part, unless they are there; how many videos."""
    from storage.features import Statistics, statistics_of

    part, listed = training
    there = [video for video in listed if video in store]
    if not there:
        return 0
    if store.statistics.exists():
        known = Statistics.load(store.statistics)
        if (known.part, known.videos) == (part, len(there)):
            return len(there)
    statistics_of(store, there, part).save(store.statistics)
    return len(there)


def tell(options: Options, added: int, there: int, unusable: list[str], counted: int) -> None:
    from storage.features import open_features

    with open_features(options.out) as store:
        about: dict[str, Any] = {
            "out": str(options.out),
            "videos": len(store),
            "added": added,
            "there before": there,
            "too short": len(unusable),
            "at": store.meta.at,
            "shape": list(store.meta.shape),
            "statistics of": counted,
        }
    if options.json:
        print(json.dumps(about))
        return
    shape = " x ".join(map(str, about["shape"]))
    print(
        f"{options.out}: {added} videos added, {there} there before, {len(unusable)} too short; "
        f"{shape} numbers a step, at {about['at']}"
        + (f"; mean and deviation of {counted} training videos" if counted else "")
    )


def few(videos: list[str]) -> str:
    return ", ".join(videos[:3]) + (", ..." if len(videos) > 3 else "")


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="features", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
