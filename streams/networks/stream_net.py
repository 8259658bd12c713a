"""A network over the segments of a video: layout at the door, consensus at the end."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.consensus import Consensus
from streams.networks.learnable import set_learnable
from streams.networks.network import Network
from streams.networks.options import BatchNorm, ConsensusRule, Learning

POOL = "pool"
"""The tap before the classifier, of every network."""


class StreamNet(nn.Module):
    """float (B, K, C, H, W), K snapshots of B videos -> logits (B, classes).

    `batch_norm`: train; partial, where all but the first stand still (as in TSN); frozen.

    C holds the T steps of an input side by side. A network for clips takes them apart here, and
    nowhere else: (N, T c, H, W) -> (N, c, T, H, W).
    """

    def __init__(
        self,
        network: Network,
        *,
        consensus: ConsensusRule = "average",
        segments: int = 1,
        batch_norm: BatchNorm = "train",
        learn: Learning = "all",
    ) -> None:
        super().__init__()
        self.network = network
        self.consensus = Consensus(consensus, segments)
        if learn != "all":
            set_learnable(network, learn)
        norms = network.norms
        still = {"train": [], "partial": norms[1:], "frozen": norms}[batch_norm]
        for norm in still:
            norm.requires_grad_(False)

    @property
    def backbone(self) -> nn.Sequential:
        return self.network.backbone

    @property
    def head(self) -> nn.Linear:
        """The classifier; of the networks that are fused it is one fully connected layer."""
        return self.network.head  # type: ignore[return-value]

    def train(self, mode: bool = True) -> StreamNet:
        """Batch norms that do not learn keep their running statistics in training too."""
        super().train(mode)
        # Looked up each time: on several GPUs the loop puts other norms into their places.
        for norm in self.network.norms:
            if any(not parameter.requires_grad for parameter in norm.parameters()):
                norm.eval()
        return self

    def features(self, x: Tensor) -> Tensor:
        """(B, K, C, H, W) -> pooled features (B, K, D), before dropout."""
        return self.network.features(self.snapshots(x)).unflatten(0, x.shape[:2])

    def snapshots(self, x: Tensor) -> Tensor:
        """(B, K, C, H, W) -> (B K, C, H, W), or clips (B K, c, T, H, W)."""
        each = x.flatten(0, 1)
        if self.network.layout == "clip":
            each = each.unflatten(1, (-1, self.network.channels)).transpose(1, 2)
        return each

    def tapped(self, x: Tensor, at: str) -> Tensor:
        """(B, K, C, H, W) -> what stands behind the part `at`, (B, K, D) or maps (B, K, D, h, w).

        `pool` is what the classifier sees. Maps of a clip are averaged over its time.
        """
        each = self.snapshots(x)
        self.network.check(each)
        behind = self.network.features(each) if at == POOL else self.network.until(each, at)
        if behind.ndim == 5:
            behind = behind.mean(2)
        if behind.ndim == 4 and behind.shape[2:] == (1, 1):
            behind = behind.flatten(1)
        if behind.ndim not in (2, 4):
            raise UserError(f"behind --at {at} stand {tuple(behind.shape[1:])}; that is no map")
        return behind.unflatten(0, x.shape[:2])

    def classify(self, features: Tensor) -> Tensor:
        """(B, K, D) -> (B, classes)."""
        logits: Tensor = self.consensus(features, self.network.classify)
        return logits

    def forward(
        self, x: Tensor, own_loss: bool = False, each_step: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """With `own_loss` also the network's own loss, a number that needs no labels; with
        `each_step` also the answers at all steps of all snapshots, (B, S, classes)."""
        if own_loss:
            features, loss = self.network.with_own_loss(self.snapshots(x))
            return self.classify(features.unflatten(0, x.shape[:2])), loss
        features = self.features(x)
        if not each_step:
            return self.classify(features)
        steps = self.network.classify_steps(features.flatten(0, 1))
        return self.classify(features), steps.unflatten(0, x.shape[:2]).flatten(1, 2)


OLDER = re.compile(r"^(towers\.\w+\.|)(?=(backbone|head)\.)")
"""Where the names of a network's tensors stood before networks were parts of their own. A fusion's
own classifier is called `head` too, but its towers' tensors come before it."""


def current_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under today's names: runs made before stay readable."""
    fusion = any(name.startswith("towers.") for name in state)
    return {
        name if fusion and name.startswith("head.") else OLDER.sub(r"\1network.", name): value
        for name, value in state.items()
    }


def parameters_of(net: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)
