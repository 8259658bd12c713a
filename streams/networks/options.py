"""What is to be built: the network, and where it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from storage.errors import UserError
from streams.networks.table import Setting, checked_name, settings_from
from streams.settings import NEWER

ConsensusRule = Literal["average", "max", "learned", "mean-features", "max-features"]
BatchNorm = Literal["train", "partial", "frozen"]
Learning = Literal["all", "top3", "top"]


@dataclass(frozen=True)
class NetworkOptions:
    """The network and where it starts."""

    depth: int = 50
    """Of a ResNet: 18, 34, 50, 101 or 152. --network names any network."""
    weights: str = "imagenet"
    """imagenet (downloaded), none (from scratch), or a file: torchvision's, a run's best weights,
    or a run's folder."""
    dropout: float = 0.5
    """Share of the pooled features that is dropped before the classifier."""
    consensus: ConsensusRule = "average"
    """How segments become one: average, max or learned of their scores; mean-features or
    max-features (conv pooling) before the classifier."""
    batch_norm: BatchNorm = "train"
    """train: all of it learns. partial: all but the first is frozen (TSN). frozen: all."""
    network: str = field(default="", metadata=NEWER)
    """A name that `twostream systems` lists, torchvision:NAME or timm:NAME (empty: the ResNet of
    --depth)."""
    extra: tuple[str, ...] = field(default=(), metadata=NEWER)
    """Settings of the network's own, NAME=VALUE: norm=batch, width=0.5 ..."""
    learn: Learning = field(default="all", metadata=NEWER)
    """Which layers learn: all, the top three with weights, or the classifier alone (top)."""
    first_layer: Literal["rescaled", "mean"] = field(default="rescaled", metadata=NEWER)
    """RGB weights at a first layer of other channels: their mean, as TSN (mean), or that times
    3 / channels (rescaled), which keeps the range that the next layers know."""

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise UserError(f"--dropout {self.dropout} must lie in [0, 1)")
        if self.network:
            checked_name(self.network)
        settings_from(self.extra)

    @property
    def name(self) -> str:
        return self.network or f"resnet{self.depth}"

    @property
    def settings(self) -> dict[str, Setting]:
        """`extra` as keyword arguments of the network's builder."""
        return settings_from(self.extra)
