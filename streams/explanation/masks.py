"""The masks of residual attention networks (Wang et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streams.networks import Network


@torch.no_grad()
def attention_masks(network: Network, x: Tensor) -> dict[str, Tensor]:
    """Attention module -> its mask of x (1, ...), the mean over channels: float32 (h, w).

    Empty for networks without such modules.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str) -> object:
        def hook(module: nn.Module, given: object, mask: Tensor) -> None:
            found[name] = mask[0].float().mean(0).cpu()

        return hook

    masks = {
        name: mask
        for name, part in network.backbone.named_children()
        if isinstance(mask := getattr(part, "mask", None), nn.Module)
    }
    hooks = [mask.register_forward_hook(keep(name)) for name, mask in masks.items()]  # type: ignore[arg-type]
    if hooks:
        network(x)
    for each in hooks:
        each.remove()
    return found
