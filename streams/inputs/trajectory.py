"""A stack that follows the motion: each field is read where the fields before have led."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor


def along_trajectories(flow: Tensor) -> Tensor:
    """float (N, 2 L, H, W), pixels: field k is read at p_k = p_(k-1) + d_(k-1)(p_(k-1)).

    p_1 is the pixel itself. Between pixels the field is interpolated linearly; a path that leaves
    the picture reads its border.
    """
    n, channels, height, width = flow.shape
    fields = flow.view(n, channels // 2, 2, height, width)
    ys = torch.arange(height, device=flow.device, dtype=flow.dtype)
    xs = torch.arange(width, device=flow.device, dtype=flow.dtype)
    grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
    at = torch.stack((grid_x, grid_y)).expand(n, 2, height, width)
    size = flow.new_tensor((max(width - 1, 1), max(height - 1, 1))).view(1, 2, 1, 1)
    followed = []
    for k in range(fields.shape[1]):
        seen = fields[:, k]
        if k:
            normal = (2 * at / size - 1).permute(0, 2, 3, 1)
            seen = nnf.grid_sample(seen, normal, padding_mode="border", align_corners=True)
        followed.append(seen)
        at = at + seen
    return torch.stack(followed, 1).flatten(1, 2)
