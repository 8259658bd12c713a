"""The optimiser that a recipe asks for."""

from __future__ import annotations

from typing import Any

import torch

from streams.training.optimisation import Optimisation


def optimiser(optim: Optimisation, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """SGD or AdamW over groups that may have a weight decay of their own."""
    if optim.optimiser == "adamw":
        return torch.optim.AdamW(
            groups,
            lr=optim.lr,
            betas=(optim.momentum, 0.999),
            weight_decay=optim.weight_decay,
        )
    return torch.optim.SGD(
        groups,
        lr=optim.lr,
        momentum=optim.momentum,
        nesterov=optim.nesterov,
        weight_decay=optim.weight_decay,
    )
