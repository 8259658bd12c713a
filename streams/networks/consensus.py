"""How the scores of a video's segments become one."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.options import ConsensusRule


class Consensus(nn.Module):
    """Logits (B, K, classes) -> (B, classes).

    `learned` weighs the K segments (softmax of K parameters, equal at first). At testing a video
    has more snapshots than segments: those of each of the K consecutive parts are averaged first.
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

    def forward(self, logits: Tensor) -> Tensor:
        if self.rule == "average":
            return logits.mean(1)
        if self.rule == "max":
            return logits.amax(1)
        count = logits.shape[1]
        edges = [k * count // self.segments for k in range(self.segments + 1)]
        parts = [logits[:, low : max(high, low + 1)].mean(1) for low, high in pairwise(edges)]
        return torch.einsum("k,bkc->bc", self.weights.softmax(0), torch.stack(parts, 1))
