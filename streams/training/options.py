"""Options that every training and scoring command shares."""

from __future__ import annotations

import os
from dataclasses import dataclass

from storage.errors import UserError
from streams.inputs import Span


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


@dataclass(frozen=True)
class Adoption:
    """How the weights look at a video, where it is not as their origin has it."""

    length: int | None = None
    """Frames of a clip, or flow fields of a stack (default: as the weights' origin)."""
    stride: int | None = None
    """Frames from one step to the next (default: as the weights' origin)."""
    size: int | None = None
    """Side of the network's input, pixels (default: as the file says, else as published)."""
    span: Span | None = None
    """Numbers that frames become (default: as the weights' origin)."""
    unit: float | None = None
    """Pixels of motion that become 1 (default: as the weights' origin)."""
    test_share: float | None = None
    """Side of a testing crop as a part of the short side (default: as the file says, else 0.875:
    224 of 256)."""
    dropout: float | None = None
    """For fine-tuning: share of the pooled features that is dropped before the classifier
    (default: as the file says, else 0.5)."""
    extra: tuple[str, ...] = ()
    """Settings of the network's own, NAME=VALUE (default: as the file says)."""

    def __post_init__(self) -> None:
        if self.test_share is not None and not 0 < self.test_share <= 1:
            raise UserError(f"--test-share {self.test_share} must lie in (0, 1]")
