"""The names of piergiaj/pytorch-i3d, for files as that project writes them."""

from __future__ import annotations

from torch import Tensor

from streams.networks.i3d import HEAD


def to_pytorch_i3d(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of ours in the names of pytorch-i3d, its classifier a convolution."""
    named = {HEAD.get(n, n.removeprefix("backbone.")): v for n, v in state.items()}
    weight = HEAD["head.weight"]
    if weight in named:
        named[weight] = named[weight].reshape(*named[weight].shape, 1, 1, 1)
    return named
