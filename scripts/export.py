"""Write a store in another tool's layout.

    twostream export ucf101.store --to mmaction2 --out rawframes --labels ucfTrainTestlist
    twostream export ucf101.store --to denseflow --out flows --pictures png
    twostream export ucf101.store --to pytorch-i3d --out i3d
    twostream export ucf101.store --to npy --out arrays --bound 20
    twostream export ucf101.store --to webdataset --out shards --labels lists --jobs 8
    twostream export ucf101.store --to litdata --out chunks --clip-pairs 64 --shard-mb 64
    twostream export ucf101.store --to webdataset-pictures --out tars --videos-per-shard 100
    twostream export rgb.features --to hdf5 --out rgb.h5

denseflow and mmaction2 get flow_x_00000.jpg and img_00000.jpg in a folder a video, counted from 0
and from 1; pytorch-i3d gets VIDEO-000001x.jpg; npy gets VIDEO_flow.npy, float32 (T, H, W, 2) in
[-1, 1]. Codes of the store's own companded rule are turned into the round rule that other tools
read. webdataset and litdata get shards of clips of some 16 pairs, in the store's own coding, byte
for byte (`streams.FlowClips.from_shards` reads them); webdataset-pictures gets tars of one sample a
video, as pictures. What is there already is passed over.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from scripts.common import FAILED, OK, Talk, run_command
from storage.errors import UserError
from storage.progress import progress_bar

if TYPE_CHECKING:
    from storage.catalog import Catalog
    from storage.convert import Pictures
    from storage.store import Store

log = logging.getLogger(__name__)

CLIPS = ("webdataset", "litdata")
"""Layouts of clips in the store's own coding."""
FORWARD_ONLY = ("npy", "webdataset-pictures", "pytorch-i3d")
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Options:
    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """The store to read."""
    to: Literal[
        "denseflow",
        "mmaction2",
        "pytorch-i3d",
        "npy",
        "webdataset",
        "litdata",
        "webdataset-pictures",
        "hdf5",
    ]
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
    """Lists or class folders; they give annotation lists (`path frames label`) or labels in
    shards."""
    videos: tuple[str, ...] = ()
    """Only these videos."""
    clip_pairs: int = 16
    """For webdataset and litdata: pairs in a sample, at least; what is left of a video is spread
    over its samples. A stack of flow is never longer than this."""
    shard_mb: float = 256
    """For webdataset and litdata: megabytes of a shard, about."""
    jobs: int = 1
    """For webdataset and litdata: shards that are written at once, each by a process."""
    videos_per_shard: int = 100
    """For webdataset-pictures: how many videos a tar holds."""
    json: bool = False
    """Print the result as JSON on stdout, and nothing else there."""
    talk: Talk = field(default_factory=Talk)

    def __post_init__(self) -> None:
        if self.videos_per_shard < 1:
            raise UserError(f"--videos-per-shard {self.videos_per_shard} must be 1 or more")
        if self.clip_pairs < 1 or self.jobs < 1:
            raise UserError(
                f"--clip-pairs {self.clip_pairs} and --jobs {self.jobs} must both be 1 or more"
            )
        if self.to in CLIPS and (self.rule or self.bound is not None or self.pictures != "auto"):
            raise UserError(
                f"--to {self.to} keeps the store's own coding; --rule, --bound and --pictures are "
                "for layouts of pictures (webdataset-pictures is one)"
            )
        if not self.shard_mb * MEGABYTE >= 1:
            raise UserError(f"--shard-mb {self.shard_mb} must be above 0")


def run(options: Options) -> int:
    from storage.features import holds_features

    if holds_features(options.store):
        return export_features(options)
    if options.to == "hdf5":
        raise UserError(f"--to hdf5 is for feature stores, and {options.store} is none")
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

        catalog = load_catalog(options.labels, validation=0)
    if options.to in CLIPS:
        return export_clips(options, store, videos, catalog)
    return export_pictures(options, store, videos, catalog)


def export_clips(options: Options, store: Store, videos: list[str], catalog: Catalog | None) -> int:
    """Shards of clips at the store's own coding."""
    from storage.convert import labels_of
    from storage.shards import ClipShards

    labels = labels_of(catalog, videos) if catalog else {}
    shards = ClipShards(
        layout="litdata" if options.to == "litdata" else "webdataset",
        pairs_each=options.clip_pairs,
        shard_bytes=int(options.shard_mb * MEGABYTE),
        frames=options.frames,
    )
    clips = shards.count(store, videos)
    with progress_bar(clips, "clip", "export", quiet=options.talk.quiet) as bar:
        classes = catalog.classes if catalog else ()
        done = shards.export(store, videos, options.out, labels, classes, options.jobs, bar.update)
    counts = {
        "clips": done.done + done.there,
        "exported": done.done,
        "there before": done.there,
        "failed": len(done.failed),
        "shards": done.shards,
        "bytes": done.bytes,
    }
    return tell_result(
        options,
        counts,
        done.failed,
        f"{done.done} clips exported, {done.there} there before, {len(done.failed)} failed; "
        f"{done.shards} shards, {done.bytes} bytes",
    )


def export_pictures(
    options: Options, store: Store, videos: list[str], catalog: Catalog | None
) -> int:
    """Layouts of other tools: pictures and arrays."""
    from storage.convert import (
        FLOW_FOLDER,
        Arrays,
        I3DPictures,
        Pictures,
        RawFrames,
        Shards,
        labels_of,
        other_tools_quantizer,
        write_lists,
        write_rates,
    )

    quantizer = other_tools_quantizer(store.meta, options.rule, options.bound)
    pictures = Pictures(quantizer, options.pictures)
    tell_codes(options, store, pictures)
    out = options.out
    with progress_bar(len(videos), "video", "export", quiet=options.talk.quiet) as bar:
        if options.to == "webdataset-pictures":
            labels = labels_of(catalog, videos) if catalog else None
            shards = Shards(options.videos_per_shard, options.frames)
            result = shards.export(store, videos, out, pictures, labels, bar.update)
        elif options.to == "npy":
            arrays = Arrays(20.0 if options.bound is None else options.bound, options.rgb)
            result = arrays.export(store, videos, out, bar.update)
        elif options.to == "pytorch-i3d":
            i3d = I3DPictures(options.frames)
            result = i3d.export(store, videos, out, pictures, bar.update)
            write_rates(store, result.done + result.there, out / FLOW_FOLDER)
        else:
            raw = RawFrames(0 if options.to == "denseflow" else 1, options.frames)
            result = raw.export(store, videos, out, pictures, bar.update)
            write_rates(store, result.done + result.there, out)
    if catalog and options.to in ("denseflow", "mmaction2"):
        for path in write_lists(catalog, store, result.done + result.there, out):
            log.info(f"list: {path}")
    counts = {
        "exported": len(result.done),
        "there before": len(result.there),
        "failed": len(result.failed),
    }
    return tell_result(
        options,
        counts,
        result.failed,
        f"{len(result.done)} videos exported, {len(result.there)} there before, "
        f"{len(result.failed)} failed",
    )


def tell_codes(options: Options, store: Store, pictures: Pictures) -> None:
    """How codes are written, and what of the store is not."""
    quantizer = pictures.quantizer
    if options.to != "npy":
        how = "as they are" if quantizer == store.meta.quantizer else "turned into it"
        log.info(f"codes: {quantizer.rule}, bound {quantizer.bound:g} px ({how})")
    written = {"forward"} if options.to in FORWARD_ONLY else {"forward", "backward"}
    omitted = [name for name in store.meta.fields if name not in written]
    if omitted:
        log.info(f"{' and '.join(omitted)} flow is left out: {options.to} has no place for it")


def tell_result(options: Options, counts: dict[str, int], failed: dict[str, str], line: str) -> int:
    """Say what came of it; the exit code."""
    for name, reason in sorted(failed.items()):
        print(f"{name}: {reason}", file=sys.stderr)
    if options.json:
        print(json.dumps({"out": str(options.out), **counts, "failures": failed}, indent=2))
    else:
        print(f"{options.out}: {line}")
    return FAILED if failed else OK


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
