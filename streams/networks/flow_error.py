"""How far a predicted flow is from the true one (or from the store's), in pixels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from storage.errors import UserError

MOVING = 0.5
"""Pixels of true motion above which a pixel moves."""
UNKNOWN = 1e9
"""Middlebury's mark: greater numbers are no flow."""


class FlowError(NamedTuple):
    """Mean end-point errors in pixels, and those of a flow of 0 to hold them against."""

    all: float
    moving: float
    """Over the pixels that move (nan where none does)."""
    zero_all: float
    zero_moving: float
    known: int
    """Pixels that were judged."""
    moving_share: float
    """Part of them that move."""

    def __str__(self) -> str:
        return (
            f"end-point error {self.all:.3f} px (zero flow: {self.zero_all:.3f}), where it moves "
            f"{self.moving:.3f} px (zero flow: {self.zero_moving:.3f}; {self.moving_share:.0%} of "
            f"{self.known} pixels)"
        )


def judge_flow(predicted: Tensor, truth: Tensor, *, moving: float = MOVING) -> FlowError:
    """Both (N, 2, H, W) in pixels. Pixels whose truth is unknown (not finite, or above 1e9) do not
    count."""
    if predicted.shape != truth.shape or predicted.ndim != 4 or predicted.shape[1] != 2:
        raise UserError(
            f"flows to compare are both (N, 2, H, W), not {tuple(predicted.shape)} and "
            f"{tuple(truth.shape)}; resize one, and its values with it"
        )
    predicted, truth = predicted.detach().double(), truth.detach().double()
    known = (truth.isfinite() & (truth.abs() < UNKNOWN)).all(1)
    if not known.any():
        raise UserError("no pixel of the true flow is known")
    error = torch.linalg.vector_norm(predicted - truth, dim=1)[known]
    motion = torch.linalg.vector_norm(truth, dim=1)[known]
    moves = motion > moving
    return FlowError(
        all=float(error.mean()),
        moving=float(error[moves].mean()),
        zero_all=float(motion.mean()),
        zero_moving=float(motion[moves].mean()),
        known=int(known.sum()),
        moving_share=float(moves.double().mean()),
    )
