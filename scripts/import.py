"""Take over flow and frames that another tool computed.

    twostream import flows/ --out ucf101.store --bound 20
    twostream import flows/ --out ucf101.store --dry-run
    twostream import u_v_folders/ jpegs_256/ --out ucf101.store --bound 20
    twostream import denseflow_out/ --out ucf101.store --bound 32 --preset opencv-cuda
    twostream import i3d_arrays/ --out flow.store --values unit --bound 20

Folders of denseflow, dense_flow, TSN, mmaction2, gpu_flow and pytorch-i3d, zips of them, HDF5,
.flo and .npy are recognised; what was recognised and what was assumed is printed. Pictures are
kept as the files they are. Videos that are stored already are passed over, faulty ones are listed
in STORE/import-failures.json, and the rest goes on.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict, dataclass, field, fields
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from scripts.common import FAILED, OK, Talk, run_command
from storage.errors import UserError
from storage.progress import progress_bar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE...")]
    """Folders, or single zip, HDF5 or .npy files; frames may lie in one and flow in another."""
    out: Path
    """The store; it is made, or gone on with."""
    bound: float | None = None
    """Pixels that the ends of the 8-bit range mean. No picture shows it: please state it."""
    rule: Literal["round", "truncate", "centred", "companded"] | None = None
    """How pixels became codes; recognised from the codes beside rest, given 16 videos or more."""
    index_base: int | None = None
    """The number of the first file; recognised from what most videos start with."""
    step: int | None = None
    """Frames from the first to the second of a pair; recognised from names that say it."""
    images: Literal["auto", "first", "second", "none"] = "auto"
    """Image i is the first or the second frame of pair i; none leaves the frames out."""
    trim: bool = False
    """Where a video has pairs or frames too many, cut them at the end instead of refusing it."""
    values: Literal["auto", "pixels", "unit"] = "auto"
    """What floats in .npy files are: pixels, or pixels divided by the bound, as I3D takes them."""
    codec: str | None = None
    """How flow is stored: files (bytes as they are), lossless, jpeg:QUALITY or raw."""
    frame_codec: str | None = None
    """How frames are stored: files, lossless, jpeg:QUALITY, raw or none."""
    preset: Literal["unknown", "opencv-cuda", "opencv-cpu"] = "unknown"
    """The TV-L1 that made the flow (denseflow and gpu_flow: opencv-cuda; mmaction2's
    flow_extraction: opencv-cpu), so that `predict` can compute the same for other videos."""
    size: str | None = None
    """How the tool sized its pictures (source, 'short-side 256', 340x256), for `predict` too."""
    fps: float | None = None
    """Frames a second of the videos, to be written down."""
    jobs: int = 1
    """Processes that share the work."""
    dry_run: bool = False
    """Say what was recognised, and store nothing."""
    json: bool = False
    """Print the result as JSON on stdout, and nothing else there."""
    talk: Talk = field(default_factory=Talk)

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise UserError(f"--jobs {self.jobs} must be 1 or more")
        if self.fps is not None and not 0 < self.fps < inf:
            raise UserError(f"--fps {self.fps} must be a rate over 0")


def run(options: Options) -> int:
    from storage.convert import FAILURES, ImportOptions, import_flow, plan_import

    if not options.sources:
        raise UserError("name the folder (or the zip, HDF5 or .npy file) that holds the flow")
    alike = {f.name for f in fields(ImportOptions)} & {f.name for f in fields(Options)}
    stated = {name: getattr(options, name) for name in alike}
    plan = plan_import(options.sources, ImportOptions(**stated, **algorithm_of(options.preset)))
    for note in plan.notes:
        log.info(note)
    if options.dry_run:
        summary = {"videos": len(plan.videos), "notes": plan.notes, "config": plan.config.to_json()}
        print(json.dumps(summary, indent=2) if options.json else f"{len(plan.videos)} videos found")
        return OK
    with progress_bar(len(plan.videos), "video", "import", quiet=options.talk.quiet) as bar:
        result = import_flow(plan, options.out, bar.update, options.jobs)
    for video, reason in sorted(result.failed.items()):
        print(f"{video}: {reason}", file=sys.stderr)
    counts = {
        "store": str(options.out),
        "imported": len(result.done),
        "there before": len(result.there),
        "failed": len(result.failed),
        "pairs": result.pairs,
        "frames": result.frames,
        "stopped": result.stopped,
    }
    if options.json:
        print(json.dumps(counts | {"failures": result.failed, "notes": plan.notes}, indent=2))
    else:
        print(
            f"{options.out}: {len(result.done)} videos imported ({result.pairs} pairs, "
            f"{result.frames} frames), {len(result.there)} there before, "
            f"{len(result.failed)} failed"
            + (f" (listed in {options.out / FAILURES})" if result.failed else "")
        )
    if result.stopped:
        print(f"stopped: {result.stopped}; the same command goes on from here", file=sys.stderr)
    return FAILED if result.failed or result.stopped else OK


def algorithm_of(preset: str) -> dict[str, Any]:
    """What a store says of the algorithm, for one of the presets."""
    if preset == "unknown":
        return {}
    from flow.tvl1 import TVL1

    parameters = TVL1.preset(preset)
    return {
        "algorithm": "tvl1",
        "parameters": asdict(parameters),
        "fingerprint": parameters.fingerprint,
    }


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="import", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
