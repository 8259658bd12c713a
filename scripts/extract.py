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
from typing import Annotated

import tyro

from flow.extraction import INTERRUPTED as BY_USER
from flow.extraction import ExtractOptions
from scripts.common import FAILED, INTERRUPTED, Talk, run_command


@dataclass(frozen=True)
class Options(ExtractOptions):
    """What to extract, how, and into which store."""

    videos: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEOS...")]
    """Folders (searched recursively), video files, patterns in quotes, or list files (.txt)."""
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    from flow.extraction import run_batch

    summary = run_batch(options, quiet=options.talk.quiet)
    print(json.dumps(summary.to_json(), indent=1) if options.json else summary.text())
    if summary.stopped == BY_USER:
        return INTERRUPTED
    unfinished = bool(summary.stopped) and not options.dry_run
    return FAILED if summary.failed or unfinished else 0


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="extract", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
