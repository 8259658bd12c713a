"""The score fusion of FstCN (Sun et al., ICCV 2015): crops weigh as they are sure."""

from __future__ import annotations

import torch
from torch import Tensor

from storage.errors import UserError


def sparsity(probabilities: Tensor) -> Tensor:
    """SCI, the sparsity concentration index, of (..., N) -> (...): 1 where one class has it all, 0
    where all have the same."""
    classes = probabilities.shape[-1]
    if classes < 2:
        raise UserError("--average sparsity needs two classes at least")
    return (classes * probabilities.amax(dim=-1) - 1) / (classes - 1)


def fuse_by_sparsity(probabilities: Tensor) -> Tensor:
    """(..., clips, crops, N) -> (..., N): crops weigh as they are sure, then the most of the clips.

    Where no crop of a clip is sure of anything, all weigh the same.
    """
    weights = sparsity(probabilities).unsqueeze(-1)
    total = weights.sum(dim=-2, keepdim=True)
    weights = torch.where(total > 0, weights / total.clamp_min(1e-12), 1 / probabilities.shape[-2])
    return (weights * probabilities).sum(dim=-2).amax(dim=-2)
