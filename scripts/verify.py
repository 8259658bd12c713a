"""Read every record of a store, count, and check the checksums.

    twostream verify ucf101.store
    twostream verify ucf101.store --repair
    twostream verify ucf101.store --json | jq .damaged

--repair drops damaged videos, so that `twostream extract` makes them again, and copies what is
whole out of shards that cannot be read. Exit code 0 where all is whole, 1 where damage was found.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from scripts.common import FAILED, OK, Talk, run_command

if TYPE_CHECKING:
    from storage.store import Report


@dataclass(frozen=True)
class Options:
    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """The store's directory."""
    repair: bool = False
    """Drop what is damaged."""
    json: bool = False
    """Print JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    from storage.features import FeatureStore, holds_features
    from storage.store import Store, verify

    kind = FeatureStore if holds_features(options.store) else Store
    report = verify(options.store, options.repair, logging.info, kind)
    if options.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        print(report_page(report, options.repair))
    return FAILED if report.damaged else OK


def report_page(report: Report, repaired: bool) -> str:
    """The report as text for people."""
    counts = report.to_json()
    lines = [
        f"{report.store}: {counts['videos']:,} videos whole, "
        + "".join(f"{number:,} {name}, " for name, number in report.counts().items())
        + f"{counts['records']:,} records, {counts['bytes']:,} bytes"
    ]
    for part in report.shards:
        if part.broken:
            lines.append(f"shard {part.name} is broken: {part.broken}")
        lines += [f"damaged: {d.video} (shard {d.shard}): {d.reason}" for d in part.damaged]
        if part.orphans:
            lines.append(f"shard {part.name}: records of {len(part.orphans)} videos that are gone")
        if part.unfinished:
            lines.append(f"shard {part.name}: {len(part.unfinished)} videos begun, not finished")
        if part.hidden:
            lines.append(f"shard {part.name}: {len(part.hidden)} videos that are not shown")
        if part.missing:
            lines.append(f"shard {part.name}: {len(part.missing)} videos that it has lost")
    if report.damaged_lines:
        lines.append(f"index.log: {report.damaged_lines} lines do not match their checksums")
    if counts["stored_twice"]:
        lines.append(f"{counts['stored_twice']} stored twice; `twostream compact` drops the copies")
    if report.salvaged:
        lines.append(f"copied out of broken shards: {len(report.salvaged)} videos")
    if report.damaged and repaired:
        lines.append("dropped what is damaged; the command that made the store redoes it")
    elif report.damaged:
        lines.append(f"`twostream verify {report.store} --repair` drops what is damaged")
    else:
        lines.append("all is whole")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="verify", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
