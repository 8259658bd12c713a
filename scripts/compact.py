"""Give back the space that deleted and replaced videos left in a store.

    twostream compact ucf101.store
    twostream compact ucf101.store --json

Shards that another process has open are left as they are and named. Sealed shards are written anew
only where videos were deleted from them. What `twostream verify --repair` put aside is deleted. A
store of an older version gets its `index.log`; no video is copied for that.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from scripts.common import Talk, run_command


@dataclass(frozen=True)
class Options:
    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """The store's directory."""
    json: bool = False
    """Print JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    from storage.features import FeatureStore, holds_features
    from storage.store import Store, compact

    done = compact(options.store, FeatureStore if holds_features(options.store) else Store)
    if options.json:
        print(json.dumps([dataclasses.asdict(shard) for shard in done], indent=2))
        return 0
    for shard in done:
        if shard.skipped:
            print(f"shard {shard.name}: left as it is, {shard.skipped}")
        else:
            print(f"shard {shard.name}: {shard.before:,} -> {shard.after:,} bytes")
    before, after = (sum(getattr(s, name) for s in done) for name in ("before", "after"))
    print(f"{options.store}: {before:,} -> {after:,} bytes")
    return 0


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="compact", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
