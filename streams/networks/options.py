"""What is to be built: the network, and where it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from storage.errors import UserError

ConsensusRule = Literal["average", "max", "learned"]
BatchNorm = Literal["train", "partial", "frozen"]


@dataclass(frozen=True)
class NetworkOptions:
    """The ResNet and where it starts."""

    depth: int = 50
    """18, 34, 50, 101 or 152."""
    weights: str = "imagenet"
    """imagenet (downloaded), none (from scratch), or a file: torchvision's or a run's best.pt."""
    dropout: float = 0.5
    """Share of the pooled features that is dropped before the classifier."""
    consensus: ConsensusRule = "average"
    """How segments' scores become one."""
    batch_norm: BatchNorm = "train"
    """train: all of it learns. partial: all but the first is frozen (TSN). frozen: all."""

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise UserError(f"--dropout {self.dropout} must lie in [0, 1)")
