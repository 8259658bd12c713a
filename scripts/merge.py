"""Make one store of several, which were written on machines of their own.

    twostream merge a.store b.store --out ucf101.store
    twostream merge b.store c.store --into ucf101.store
    twostream merge a.store b.store --out ucf101.store --move
    twostream merge a.store b.store --out ucf101.store --on-conflict first

Shards are linked, not copied (copied where they lie on another file system), and each is checked
against its checksum. So the stores must be whole: nobody writes them, and what was not full is
sealed now. A video that several of them hold, of the same content, counts once.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from scripts.common import Talk, run_command
from storage.errors import UserError

if TYPE_CHECKING:
    from storage.store import Merged


@dataclass(frozen=True)
class Options:
    stores: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="STORES...")]
    """The stores that become one; all were made in the same way."""
    out: Path | None = None
    """A store that is made."""
    into: Path | None = None
    """A store that is there, and gets their videos as well."""
    move: bool = False
    """Take the shards out of the stores; else they are shared, and every store stays whole."""
    on_conflict: Literal["refuse", "first"] = "refuse"
    """Where different videos have one name: name them and add nothing, or take the first."""
    json: bool = False
    """Print JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    from storage.features import holds_features
    from storage.store import merge

    if not options.stores:
        raise UserError("no stores named: give two or more")
    if (options.out is None) == (options.into is None):
        raise UserError("give --out NEW or --into STORE, one of them")
    for path in options.stores:
        if holds_features(path):
            raise UserError(f"{path} is a feature store; merge takes stores of flow and frames")
    out = options.out or options.into
    assert out is not None
    result = merge(
        options.stores,
        out,
        new=options.out is not None,
        move=options.move,
        refuse=options.on_conflict == "refuse",
        progress=logging.info,
    )
    print(json.dumps(dataclasses.asdict(result), indent=2) if options.json else merged_text(result))
    return 0


def merged_text(result: Merged) -> str:
    """What came of it, as text for people."""
    lines = [
        f"{result.out}: {result.videos:,} videos added in {result.shards} shards, "
        f"{result.linked:,} bytes linked, {result.copied:,} copied"
    ]
    if result.same:
        lines.append(f"{result.same:,} were there already, of the same content")
    if result.left_out:
        names = ", ".join(map(repr, result.left_out[:5]))
        more = ", ..." if len(result.left_out) > 5 else ""
        lines.append(f"{len(result.left_out):,} left out, another one has the name: {names}{more}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="merge", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
