"""Options that every training and scoring command shares."""

from __future__ import annotations

import os
from dataclasses import dataclass

from storage.errors import UserError


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
