"""What the training commands share: their options, and the recipe that gives other defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from scripts.common.command import Talk
from streams.samples import DataOptions
from streams.training import LoopOptions


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What neither the data nor the recipe has a say in."""

    out: Path
    """The run's folder; it is made, or gone on with."""
    loop: LoopOptions = field(default_factory=LoopOptions)
    name: str = ""
    """The run's name in score tables and reports (default: its kind)."""
    restart: bool = False
    """Throw away what is in --out and start anew."""
    seed: int = 0
    """Of every random choice."""
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(RunOptions):
    """What does not depend on the recipe."""

    data: DataOptions


def asked(argv: list[str], option: str) -> str:
    """The value of an option that decides the defaults of others; empty without it."""
    value = ""
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word.startswith(f"{option}="):
            value = word.partition("=")[2]
        elif word == option:
            value = following
    return value


def asked_recipe(argv: list[str], known: tuple[str, ...]) -> str:
    """The value of --recipe, which decides the defaults of all other options."""
    value = asked(argv, "--recipe")
    return value if value in known else "modern"  # the parser names the values that are allowed
