"""List every system of the canon: its paper, what trains it here, its size, what it is blind to.

    twostream systems
    twostream systems --json

Parameters are counted for 400 classes; where two commands are named, the second learns from what
the first one writes.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from scripts.common import Talk, run_command


@dataclass(frozen=True, kw_only=True)
class Options:
    json: bool = False
    """Print the list as JSON."""
    talk: Talk = field(default_factory=Talk)


def rows() -> list[dict[str, Any]]:
    """One a system, as JSON values."""
    from scripts.canon import SYSTEMS, parameters_here

    return [
        asdict(system)
        | {"train": f"twostream {system.train}"}
        | {"first": f"twostream {system.first}" if system.first else None}
        | {"parameters": parameters_here(system.name)}
        for system in SYSTEMS
    ]


def run(options: Options) -> int:
    systems = rows()
    if options.json:
        print(json.dumps(systems, indent=1))
        return 0
    for row in systems:
        here = f"{row['parameters'] / 1e6:.2f} M" if row["parameters"] else "-"
        print(f"{row['name']}\n    {row['paper']}")
        print(f"    trained by   {commands(row)}")
        print(f"    parameters   {here}{published(row)}")
        print(f"    blind to     {row['blind']}")
    return 0


def commands(row: dict[str, Any]) -> str:
    """What trains it, and what comes before."""
    return f"{row['first']}, then {row['train']}" if row["first"] else str(row["train"])


def published(row: dict[str, Any]) -> str:
    """What the paper says of its size."""
    if row["published"] is None:
        return ""
    return f"; published {row['published']:.4g} M ({row['source']})"


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="systems", description=(__doc__ or "").strip())


if __name__ == "__main__":
    sys.exit(main())
