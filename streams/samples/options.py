"""Which videos, under which labels: options that every training and scoring command shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ShortPolicy = Literal["pad", "skip", "stop"]


@dataclass(frozen=True)
class DataOptions:
    """Which videos, under which labels."""

    store: Path
    """The store that `extract` made."""
    labels: Path
    """Lists of UCF-101, HMDB-51 or TSN, a Kinetics CSV, or a folder of class folders."""
    split: int = 1
    """Which split of the lists."""
    validation: float = 0.15
    """Share of each class's training videos that is cut off, by group, to choose checkpoints on."""
    missing: Literal["skip", "stop"] = "skip"
    """What to do about listed videos that the store does not hold."""
    short: ShortPolicy = "pad"
    """What to do about videos too short for the input: repeat their last pair, skip, or stop."""
    any_counts: bool = False
    """Accept UCF-101 and HMDB-51 lists of other lengths than the official ones."""
    empty_classes: bool = False
    """Accept classes of which the store holds no training video."""
