"""Pooling over time without a layer of its own: the average, the maximum, a learned consensus."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.aggregators.aggregator import Aggregator, over_places

PoolingRule = Literal["average", "max", "learned"]
"""learned: a softmax weight for each of K consecutive parts of the video, equal at first; within a
part all steps count the same. It is the rule of `streams.networks.consensus`, on features."""


def maximum_over_steps(x: Tensor, mask: Tensor) -> Tensor:
    """(N, T, ...) -> (N, ...), the maximum of the valid steps."""
    return x.masked_fill(~over_places(mask, x), -torch.inf).amax(1)


def share_of_maxima(x: Tensor, mask: Tensor) -> Tensor:
    """(N, T, ...) -> (N, T): the share of the features that are largest at that step; steps that
    tie divide a feature."""
    x = x.detach().flatten(2).masked_fill(~mask[:, :, None], -torch.inf)
    largest = (x == x.amax(1, keepdim=True)).float()
    return (largest / largest.sum(1, keepdim=True)).mean(2)


def part_weights(parts: Tensor, mask: Tensor) -> Tensor:
    """Weights (K,) of K parts and the valid steps (N, T) -> weights of steps (N, T).

    Part k of L steps is the half-open range [k L // K, (k + 1) L // K), at least one step.
    """
    count = mask.sum(1, keepdim=True)
    k = torch.arange(len(parts), device=mask.device)[None]
    low = k * count // len(parts)
    high = torch.maximum((k + 1) * count // len(parts), low + 1)
    step = torch.arange(mask.shape[1], device=mask.device)[None, None]
    inside = ((step >= low[:, :, None]) & (step < high[:, :, None])).to(parts.dtype)
    return torch.einsum("k,nkt->nt", parts, inside / inside.sum(2, keepdim=True))


class Pooling(Aggregator):
    """Features (N, T, D) -> pooled (N, D) -> dropout -> classifier."""

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        rule: PoolingRule = "average",
        segments: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(width, classes)
        if rule not in get_args(PoolingRule):
            raise UserError(
                f"a rule for pooling is one of {', '.join(get_args(PoolingRule))}, not {rule!r}"
            )
        if segments < 1:
            raise UserError(f"--extra segments={segments} must be at least 1")
        self.rule = rule
        if rule == "learned":
            self.part_scores = nn.Parameter(torch.zeros(segments))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def features(self, x: Tensor, mask: Tensor) -> Tensor:
        if self.rule == "max":
            return maximum_over_steps(x, mask)
        return torch.einsum("nt,ntd->nd", self.step_weights(mask).to(x.dtype), x)

    def step_weights(self, mask: Tensor) -> Tensor:
        if self.rule == "learned":
            return part_weights(self.part_scores.softmax(0), mask)
        return mask / mask.sum(1, keepdim=True)

    def logits(self, x: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.features(x, mask)))
        return logits

    @torch.no_grad()
    def weights(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x, mask = self.prepare(x, lengths)
        return share_of_maxima(x, mask) if self.rule == "max" else self.step_weights(mask)
