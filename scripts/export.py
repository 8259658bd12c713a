"""Write a store in another tool's layout.

    twostream export ucf101.store --to mmaction2 --out rawframes --labels ucfTrainTestlist
    twostream export ucf101.store --to denseflow --out flows --pictures png
    twostream export ucf101.store --to npy --out i3d --bound 20
    twostream export ucf101.store --to webdataset --out shards --videos-per-shard 100
    twostream export rgb.features --to hdf5 --out rgb.h5

denseflow and mmaction2 get flow_x_00000.jpg and img_00000.jpg in a folder a video, counted from 0
and from 1; npy gets VIDEO_flow.npy, float32 (T, H, W, 2) in [-1, 1]; webdataset gets tars. Codes of
the store's own companded rule are turned into the round rule that other tools read. Videos that
are there already are passed over.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from scripts.common import FAILED, OK, Talk, run_command
from storage.errors import UserError
from storage.progress import progress_bar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """The store to read."""
    to: Literal["denseflow", "mmaction2", "npy", "webdataset", "hdf5"]
    """The layout: mmaction2 is also TSN's; npy is for flow and for features, hdf5 for features
    alone."""
    out: Path
    """A folder for it (hdf5: a file); what an earlier run wrote there is kept."""
    rule: Literal["round", "truncate", "centred"] | None = None
    """How pixels become codes; as in the store, or round where the store's is companded."""
    bound: float | None = None
    """Pixels that the ends of the range mean; as in the store, and 20 for npy."""
    pictures: str = "auto"
    """auto (imported files as they are, JPEG 95 for the rest), jpeg:QUALITY or png."""
    frames: bool = True
    """Write frames too, where the store has them (npy: see --rgb)."""
    rgb: bool = False
    """For npy: write VIDEO_rgb.npy, float32 (T, H, W, 3) in [-1, 1], too."""
    labels: Path | None = None
    """Lists or class folders; they give annotation lists (`path frames label`) or .cls files."""
    videos: tuple[str, ...] = ()
    """Only these videos."""
    videos_per_shard: int = 100
    """For webdataset: how many videos a tar holds."""
    json: bool = False
    """Print the result as JSON on stdout, and nothing else there."""
    talk: Talk = field(default_factory=Talk)

    def __post_init__(self) -> None:
        if self.videos_per_shard < 1:
            raise UserError(f"--videos-per-shard {self.videos_per_shard} must be 1 or more")


def run(options: Options) -> int:
    from storage.features import holds_features

    if holds_features(options.store):
        return export_features(options)
    if options.to == "hdf5":
        raise UserError(f"--to hdf5 is for feature stores, and {options.store} is none")
    from storage.convert import (
        Arrays,
        Pictures,
        RawFrames,
        Shards,
        other_tools_quantizer,
        write_rates,
    )
    from storage.store import open_store

    store = open_store(options.store)
    videos = list(options.videos) or store.videos()
    for video in options.videos:
        if video not in store:
            raise UserError(f"{video!r} is not in {options.store}; `twostream inspect` lists them")
    if not videos:
        raise UserError(f"{options.store} holds no video")
    catalog = None
    if options.labels:
        from storage.catalog import load_catalog
        from storage.convert import labels_of, write_lists

        catalog = load_catalog(options.labels, validation=0)
    quantizer = other_tools_quantizer(store.meta, options.rule, options.bound)
    pictures = Pictures(quantizer, options.pictures)
    if options.to != "npy":
        how = "as they are" if quantizer == store.meta.quantizer else "turned into it"
        log.info(f"codes: {quantizer.rule}, bound {quantizer.bound:g} px ({how})")
    written = {"npy": {"forward"}, "webdataset": {"forward"}}.get(
        options.to, {"forward", "backward"}
    )
    omitted = [name for name in store.meta.fields if name not in written]
    if omitted:
        log.info(f"{' and '.join(omitted)} flow is left out: {options.to} has no place for it")
    with progress_bar(len(videos), "video", "export", quiet=options.talk.quiet) as bar:
        if options.to == "webdataset":
            labels = labels_of(catalog, videos) if catalog else None
            shards = Shards(options.videos_per_shard, options.frames)
            result = shards.export(store, videos, options.out, pictures, labels, bar.update)
        elif options.to == "npy":
            arrays = Arrays(20.0 if options.bound is None else options.bound, options.rgb)
            result = arrays.export(store, videos, options.out, bar.update)
        else:
            raw = RawFrames(0 if options.to == "denseflow" else 1, options.frames)
            result = raw.export(store, videos, options.out, pictures, bar.update)
            write_rates(store, result.done + result.there, options.out)
    if catalog and options.to in ("denseflow", "mmaction2"):
        for path in write_lists(catalog, store, result.done + result.there, options.out):
            log.info(f"list: {path}")
    for video, reason in sorted(result.failed.items()):
        print(f"{video}: {reason}", file=sys.stderr)
    counts = {
        "out": str(options.out),
        "exported": len(result.done),
        "there before": len(result.there),
        "failed": len(result.failed),
    }
    if options.json:
        print(json.dumps(counts | {"failures": result.failed}, indent=2))
    else:
        print(
            f"{options.out}: {len(result.done)} videos exported, "
            f"{len(result.there)} there before, {len(result.failed)} failed"
        )
    return FAILED if result.failed else OK


def export_features(options: Options) -> int:
    """A feature store as .npy files or as one HDF5 file."""
    from storage.features import export_hdf5, export_npy, open_features

    if options.to not in ("npy", "hdf5"):
        raise UserError(f"--to {options.to} is a layout of flow; features go out as npy or hdf5")
    with open_features(options.store) as store:
        with progress_bar(len(store), "video", "export", quiet=options.talk.quiet) as bar:
            export = export_npy if options.to == "npy" else export_hdf5
            written = export(store, options.out, bar.update)
        there = len(store) - len(written)
    if options.json:
        print(
            json.dumps({"out": str(options.out), "exported": len(written), "there before": there})
        )
    else:
        print(f"{options.out}: features of {len(written)} videos exported, {there} there before")
    return OK


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="export", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
