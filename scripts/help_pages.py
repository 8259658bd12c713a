"""Write docs/commands.md from the commands' own help, so that the two cannot disagree.

python -m scripts.help_pages docs/commands.md
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from scripts.cli import COMMANDS

SUB_COMMANDS = {
    "train": ("spatial", "temporal", "fusion"),
    "bench": ("flow", "store", "extract", "train"),
}


def help_of(*words: str) -> str:
    """What `twostream WORDS --help` prints, 96 columns wide and without colours."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts", *words, "--help"],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "96", "NO_COLOR": "1", "TERM": "dumb"},
        check=True,
    )
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    return "\n".join(line.rstrip() for line in plain.strip().splitlines())


def pages() -> str:
    """The whole of docs/commands.md."""
    parts = ["# Commands", "", "Written by `make docs` from each command's `--help`.", ""]
    for command in COMMANDS:
        if find_spec(f"scripts.{command}") is None:
            continue
        for words in [(command,), *((command, sub) for sub in SUB_COMMANDS.get(command, ()))]:
            parts += [f"## twostream {' '.join(words)}", "", "```text", help_of(*words), "```", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    Path(sys.argv[1]).write_text(pages(), encoding="utf-8")
