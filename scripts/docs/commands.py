"""Write docs/commands.md from the commands' own help, so that the two cannot disagree.

python -m scripts.docs.commands docs/commands.md
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

from scripts.bench import BENCHES
from scripts.cli import COMMANDS, main, usage
from scripts.train import KINDS

WIDTH = "96"
SUB_COMMANDS = {
    "train": {kind: module for kind, (module, _) in KINDS.items()},
    "bench": {name: module for name, (module, _) in BENCHES.items()},
}
"""Command -> its sub-commands and the modules that hold their options."""


def all_calls() -> list[tuple[str, ...]]:
    """The words of every command and sub-command there is, in the order of the usage."""
    calls: list[tuple[str, ...]] = []
    for command in COMMANDS:
        if find_spec(f"scripts.{command}") is not None:
            calls.append((command,))
            subs = SUB_COMMANDS.get(command, {})
            calls += [(command, sub) for sub, module in subs.items() if find_spec(module)]
    return calls


@contextmanager
def plain_terminal() -> Iterator[None]:
    """96 columns and no colours, whatever the terminal."""
    before = dict(os.environ)
    os.environ.update(COLUMNS=WIDTH, LINES="50", TERM="dumb", NO_COLOR="1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def help_of(*words: str) -> str:
    """What `twostream WORDS --help` prints."""
    said = io.StringIO()
    with plain_terminal(), redirect_stdout(said):
        code = main([*words, "--help"])
    if code:
        raise RuntimeError(f"`twostream {' '.join(words)} --help` ended with {code}")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue())
    return "\n".join(line.rstrip() for line in plain.strip().splitlines())


def pages() -> str:
    """The whole of docs/commands.md."""
    parts = ["# Commands", "", "Written by `make docs` from each command's `--help`.", ""]
    parts += ["```text", usage(), "```", ""]
    for words in all_calls():
        parts += [f"## twostream {' '.join(words)}", "", "```text", help_of(*words), "```", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    Path(sys.argv[1]).write_text(pages(), encoding="utf-8")
