"""Turn videos into a store of flow and frames.

    twostream extract videos/ --out ucf101.store
    twostream extract videos/ --out ucf101.store --short-side 256 --workers 8
    twostream extract list.txt --root videos/ --out ucf101.store --direction both --warped
    twostream extract 'videos/*/*.avi' --out quick.store --flow dis --no-frames
    twostream extract videos/ --out ucf101.store --shard 3/8
    twostream extract videos/ --out ucf101.store --cluster tcp://10.0.0.1:8786

The same command again goes on where the last one stopped: what is stored is skipped, what failed
is tried again. Ids are paths without the extension, relative to the folder that was named.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, cast

import tyro

from scripts.common import FAILED, INTERRUPTED, Talk, run_command
from storage.store import StoreConfig

if TYPE_CHECKING:
    from flow.extraction import Recipe

Rule = Literal["companded", "round", "truncate", "centred"]
DEFAULT = StoreConfig()
DEFAULT_RULE = cast(Rule, DEFAULT.quantizer.rule)


@dataclass(frozen=True)
class Options:
    """What to extract, how, and into which store."""

    videos: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEOS...")]
    """Folders (searched recursively), video files, patterns in quotes, or list files (.txt)."""
    out: str
    """The store: a folder that is made, or one made with the same options."""

    root: str | None = None
    """Ids and the lines of lists are relative to this folder (default: the folder that is named,
    or the list's own)."""
    flow: Literal["tvl1", "dis", "farneback"] = "tvl1"
    """The flow algorithm; published streams were trained on tvl1."""
    preset: str | None = None
    """Parameter set: opencv-cuda (default, as published) or opencv-cpu for tvl1; ultrafast, fast
    or medium for dis."""
    engine: str = "auto"
    """Who computes tvl1: auto takes the fastest that works here (gpu, cpu, opencv, reference)."""
    direction: Literal["forward", "backward", "both"] = "forward"
    """Flow from each frame to a later one, the other way, or both."""
    warped: bool = False
    """Store flow with the camera's motion taken out as well."""
    step: int = 1
    """Flow i leads from frame i to frame i + STEP."""
    fps: float | None = None
    """Resample to this rate first: frames are repeated or left out (default: all as they are)."""
    short_side: int | None = None
    """Resize so that the shorter side has this length."""
    size: str | None = None
    """Resize to WIDTHxHEIGHT, for example 340x256 (default: the video's own size)."""
    no_frames: bool = False
    """Store flow only, no RGB frames."""

    quantizer: Rule = DEFAULT_RULE
    """The rule from pixels to bytes; docs/store.md says what each one loses."""
    bound: float = DEFAULT.quantizer.bound
    """Motion in pixels that the largest code stands for; more is clipped."""
    codec: str = DEFAULT.codec
    """How flow is stored: jpeg:QUALITY, lossless, raw or another one of docs/store.md."""
    frame_codec: str = DEFAULT.frame_codec
    """How frames are stored: jpeg:QUALITY, lossless or raw."""

    workers: int | None = None
    """Processes at once (default: one a core, or one a GPU)."""
    shard: str | None = None
    """I/N: do only the I-th of N disjoint parts, for job arrays."""
    cluster: str | None = None
    """Address of a Dask scheduler, for example tcp://10.0.0.1:8786; its workers do the work."""
    on_error: Literal["skip", "partial", "stop"] = "skip"
    """A bad video is skipped; or stored as far as it can be decoded; or ends the run."""
    redo_changed: bool = False
    """Extract sources again that have changed since they were stored."""
    dry_run: bool = False
    """Say what would be done and how long it would take, and do nothing."""
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)


def recipe_of(options: Options) -> Recipe:
    """The options that decide what is stored."""
    from flow.algorithms import algorithm
    from flow.extraction import Recipe
    from flow.tvl1 import TVL1
    from flow.video import Resize
    from storage.codecs import Quantizer
    from storage.errors import UserError

    if options.flow == "tvl1":
        chosen = algorithm("tvl1", TVL1.preset(options.preset or "opencv-cuda"))
    elif options.preset is None:
        chosen = algorithm(options.flow)
    elif options.flow == "dis":
        chosen = algorithm("dis", preset=options.preset)
    else:
        raise UserError(f"--preset {options.preset!r}: {options.flow} has none; leave it out")
    if options.size is not None and options.short_side is not None:
        raise UserError("give --short-side or --size, not both")
    fields = ("forward", "backward") if options.direction == "both" else (options.direction,)
    return Recipe(
        resize=Resize.parse(options.size) if options.size else Resize(options.short_side),
        step=options.step,
        fps=options.fps,
        fields=(*fields, "warped") if options.warped else fields,
        flow=chosen,
        quantizer=Quantizer(options.quantizer, options.bound),
        codec=options.codec,
        frame_codec="none" if options.no_frames else options.frame_codec,
        engine=options.engine,
    )


def run(options: Options) -> int:
    from flow.extraction import INTERRUPTED as BY_USER
    from flow.extraction import Batch, Shard, run_batch

    summary = run_batch(
        Batch(
            videos=options.videos,
            out=options.out,
            recipe=recipe_of(options),
            root=options.root,
            on_error=options.on_error,
            redo_changed=options.redo_changed,
            shard=Shard.parse(options.shard) if options.shard else None,
            workers=options.workers,
            cluster=options.cluster,
            dry_run=options.dry_run,
            quiet=options.talk.quiet,
        )
    )
    print(json.dumps(summary.to_json(), indent=1) if options.json else summary.text())
    if summary.stopped == BY_USER:
        return INTERRUPTED
    unfinished = bool(summary.stopped) and not options.dry_run
    return FAILED if summary.failed or unfinished else 0


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="extract", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
