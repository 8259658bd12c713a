"""Which features of which videos: options, in a file that opens no store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class FeatureData:
    """Which features of which videos, under which labels."""

    features: tuple[Path, ...]
    """The feature stores; several stand side by side at each step (early fusion)."""
    labels: Path
    """Lists of UCF-101, HMDB-51 or TSN, a Kinetics CSV, or a folder of class folders."""
    split: int = 1
    """Which split of the lists."""
    validation: float = 0.15
    """Share of each class's training videos that is cut off, by group, to choose checkpoints on."""
    missing: Literal["skip", "stop"] = "skip"
    """What to do about listed videos that one of the stores does not hold."""
    any_counts: bool = False
    """Accept UCF-101 and HMDB-51 lists of other lengths than the official ones."""
    empty_classes: bool = False
    """Accept classes of which the stores hold no training video."""
