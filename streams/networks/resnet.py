"""The streams' networks: a torchvision ResNet, its head, and the consensus over segments."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.consensus import Consensus
from streams.networks.options import BatchNorm, ConsensusRule
from streams.networks.torchvision_compat import models

DEPTHS = (18, 34, 50, 101, 152)


class StreamNet(nn.Module):
    """float (B, K, C, H, W) -> logits (B, classes).

    `backbone` is torchvision's ResNet with its stages conv1 ... layer4 and no classifier, so that
    other networks can take it apart.
    """

    def __init__(
        self,
        depth: int,
        channels: int,
        classes: int,
        *,
        dropout: float = 0.5,
        consensus: ConsensusRule = "average",
        segments: int = 1,
        batch_norm: BatchNorm = "train",
    ) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise UserError(f"--depth {depth} is not one of {', '.join(map(str, DEPTHS))}")
        backbone = models.get_model(f"resnet{depth}", weights=None)
        width = backbone.fc.in_features
        backbone.fc = nn.Identity()
        if channels != 3:
            backbone.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
            nn.init.kaiming_normal_(backbone.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.backbone: Any = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.consensus = Consensus(consensus, segments)
        self.batch_norm: BatchNorm = batch_norm
        for norm in frozen_norms(backbone, batch_norm):
            norm.requires_grad_(False)

    def train(self, mode: bool = True) -> StreamNet:
        """Frozen batch norms keep their running statistics in training too."""
        super().train(mode)
        # Looked up each time: on several GPUs the loop puts other norms into their places.
        for norm in frozen_norms(self.backbone, self.batch_norm):
            norm.eval()
        return self

    def features(self, x: Tensor) -> Tensor:
        """(B, K, C, H, W) -> pooled features (B, K, D), before dropout."""
        pooled: Tensor = self.backbone(x.flatten(0, 1))
        return pooled.unflatten(0, x.shape[:2])

    def classify(self, features: Tensor) -> Tensor:
        """(B, K, D) -> (B, classes)."""
        logits: Tensor = self.consensus(self.head(self.dropout(features)))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x))


def frozen_norms(backbone: nn.Module, mode: BatchNorm) -> list[nn.Module]:
    """None; all but the first (partial, as in TSN); or all."""
    norms: list[nn.Module] = [
        m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d | nn.SyncBatchNorm)
    ]
    return [] if mode == "train" else norms[1:] if mode == "partial" else list(norms)


def parameters_of(net: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)
