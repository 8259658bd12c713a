"""Averaged weights: a second copy of the network that follows the first, slowly."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """Exponential moving average of weights and of running statistics."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay
        mine, theirs = self.model.state_dict(), model.state_dict()
        self._pairs = [(mine[name], theirs[name]) for name in mine]

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """After step `step` of the optimiser. The memory is short at first, so that the random
        start is soon forgotten."""
        keep = min(self.decay, (1 + step) / (10 + step))
        floating = [(a, b) for a, b in self._pairs if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floating], [b for _, b in floating], 1 - keep)
        for a, b in self._pairs:
            if not a.is_floating_point():  # batch norm's counters
                a.copy_(b)
