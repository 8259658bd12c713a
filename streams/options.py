"""Options that every training and scoring command shares."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storage.errors import UserError

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


@dataclass(frozen=True)
class LoopOptions:
    """What does not change the result."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""
    workers: int = -1
    """Reading processes (-1: one a core, 16 at most; 0: none, the training process reads)."""
    save_every: int = 0
    """Steps between checkpoints (0: one after each validation)."""
    deterministic: bool = False
    """On a GPU: only operations that give the same bits each time (slower)."""

    def __post_init__(self) -> None:
        if self.workers < -1 or self.save_every < 0:
            raise UserError("--workers must be -1 or more, --save-every 0 or more")

    def loading_processes(self, world: int = 1) -> int:
        """Of each of `world` training processes on this machine."""
        if self.workers >= 0:
            return self.workers
        return max(1, min(16, len(os.sched_getaffinity(0)) // world))
