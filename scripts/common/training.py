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
    name: str = ""
    """The run's name in score tables and reports (default: its kind)."""
    resume: Path | None = None
    """Go on with the run in this folder under its own options. With more --epochs or --steps than
    it had it is trained longer: from there on the rate is what the longer schedule has."""
    config: Path | None = None
    """Take options from this file, a line `option: value` each; every run keeps its own as
    run.yaml. What is given beside it counts more."""
    restart: bool = False
    """Throw away what is in --out and start anew."""
    seed: int = 0
    """Of every random choice."""
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)


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
