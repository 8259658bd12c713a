"""Commands one after the other, each done once: what is made stays made over stops and kills."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from storage import atomic


@dataclass(frozen=True)
class Step:
    """One command."""

    title: str
    words: tuple[str, ...]
    """Command and options, as a person types them."""
    makes: Path
    """What exists when it is done."""

    @property
    def typed(self) -> str:
        first, *rest = self.words
        inner = first == "sample_data" or "." in first
        runs = f"python -m scripts.{first}" if inner else f"twostream {first}"
        return f"{runs} {shlex.join(rest)}"


class Journal:
    """Which steps are done, and with which words."""

    def __init__(self, path: Path, base: str = "") -> None:
        """`base`: the folder that words name; without it in the file the folder can be moved."""
        self.path, self.base = path, base
        try:
            self.done: dict[str, list[str]] = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            self.done = {}

    def key(self, makes: Path) -> str:
        return self.plain(str(makes))

    def plain(self, word: str) -> str:
        return word.replace(self.base, "{out}") if self.base else word

    def words_of(self, step: Step) -> list[str]:
        return [self.plain(word) for word in step.words]

    def holds(self, step: Step) -> bool:
        return step.makes.exists() and self.key(step.makes) in self.done

    def changed(self, way: Iterable[Step]) -> Step | None:
        """The first step that was done, but by another command."""
        for step in way:
            known = self.done.get(self.key(step.makes))
            if known is not None and known != self.words_of(step):
                return step
        return None

    def add(self, step: Step) -> None:
        self.done[self.key(step.makes)] = self.words_of(step)
        self.write()

    def drop(self, step: Step) -> None:
        if self.done.pop(self.key(step.makes), None) is not None:
            self.write()

    def write(self) -> None:
        atomic.write_text(self.path, json.dumps(self.done, indent=1) + "\n")


def walk(step: Step, *, quiet: bool = False) -> int:
    """Run one command in this process; what it prints goes where progress goes."""
    command, *rest = step.words
    main: Callable[[list[str]], int] = import_module(f"scripts.{command}").main
    if quiet:
        rest.append("--quiet")
    kept = sys.stdout
    sys.stdout = sys.stderr  # standard output is for the caller's result alone
    try:
        return main(rest)
    finally:
        sys.stdout = kept
