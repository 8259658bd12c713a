"""How the snapshots of a video become one answer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import get_args

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.options import ConsensusRule


class Consensus(nn.Module):
    """Features (B, K, D) and a classifier (..., D) -> (..., classes): logits (B, classes).

    average, max: of the K scores. learned: the K segments' scores weighed (softmax of K
    parameters, equal at first). At testing a video has more snapshots than segments: those of
    each of the K consecutive parts are averaged first. mean-features, max-features: of the
    features, before the classifier; max-features is the conv pooling of Beyond Short Snippets.
    """

    def __init__(self, rule: ConsensusRule, segments: int) -> None:
        super().__init__()
        if rule not in get_args(ConsensusRule):
            raise UserError(
                f"--consensus {rule!r} is not one of {', '.join(get_args(ConsensusRule))}"
            )
        self.rule, self.segments = rule, segments
        if rule == "learned":
            self.weights = nn.Parameter(torch.zeros(segments))

    def forward(self, features: Tensor, classify: Callable[[Tensor], Tensor]) -> Tensor:
        if self.rule == "mean-features":
            return classify(features.mean(1))
        if self.rule == "max-features":
            return classify(features.amax(1))
        return self.of_scores(classify(features.flatten(0, 1)).unflatten(0, features.shape[:2]))

    def of_scores(self, logits: Tensor) -> Tensor:
        """(B, K, classes) -> (B, classes)."""
        if self.rule == "average":
            return logits.mean(1)
        if self.rule == "max":
            return logits.amax(1)
        count = logits.shape[1]
        edges = [k * count // self.segments for k in range(self.segments + 1)]
        parts = [logits[:, low : max(high, low + 1)].mean(1) for low, high in pairwise(edges)]
        return torch.einsum("k,bkc->bc", self.weights.softmax(0), torch.stack(parts, 1))
