"""What the training commands share: their options, and the recipe that gives other defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from scripts.common.command import Talk
from streams.samples import DataOptions
from streams.training import LoopOptions


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What does not depend on the recipe."""

    data: DataOptions
    out: Path
    """The run's folder; it is made, or gone on with."""
    loop: LoopOptions = field(default_factory=LoopOptions)
    restart: bool = False
    """Throw away what is in --out and start anew."""
    seed: int = 0
    """Of every random choice."""
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)


def asked_recipe(argv: list[str], known: tuple[str, ...]) -> str:
    """The value of --recipe, which decides the defaults of all other options."""
    for i, word in enumerate(argv):
        value = word.partition("=")[2] if word.startswith("--recipe=") else ""
        if word == "--recipe" and i + 1 < len(argv):
            value = argv[i + 1]
        if value in known:
            return value
    return "modern"  # the parser names the values that are allowed
