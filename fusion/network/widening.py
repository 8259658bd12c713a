"""Letting the layers that follow a concatenation take more channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks import Network


@torch.no_grad()
def widen(network: Network, stage: str, width: int, channels: int) -> None:
    """Let the convolutions behind a stage take `channels` instead of `width`.

    The filters of the new channels are copies of the old, so that a concatenation starts as a sum.
    Raise UserError where something else than a 2-D convolution takes the map.
    """
    name = network.names[network.names.index(stage) + 1]
    part = network.backbone.get_submodule(name)
    convolutions = {n: m for n, m in part.named_modules() if isinstance(m, nn.Conv2d)}
    training = part.training
    part.eval()
    refusal = UserError(
        f"--join concat: {name}, which follows {stage}, cannot take {channels} channels; fuse "
        "after another stage, or by conv"
    )
    try:
        inners = takers(part, convolutions, torch.zeros(1, width, 16, 16))
        if not inners:
            raise refusal
        for inner in inners:
            wide = widened(convolutions[inner], channels)
            if inner:
                part.set_submodule(inner, wide)
            else:
                setattr(network.backbone, name, wide)
        network.backbone.get_submodule(name)(torch.zeros(1, channels, 16, 16))
    except RuntimeError:
        raise refusal from None
    part.train(training)


def takers(part: nn.Module, convolutions: dict[str, nn.Conv2d], given: Tensor) -> list[str]:
    """Names of the convolutions that are given the part's own input."""
    names: list[str] = []
    hooks = [
        module.register_forward_pre_hook(
            lambda _, inputs, name=name: names.append(name) if inputs[0] is given else None
        )
        for name, module in convolutions.items()
    ]
    try:
        part(given)
    finally:
        for hook in hooks:
            hook.remove()
    return names


def widened(conv: nn.Conv2d, channels: int) -> nn.Conv2d:
    """The convolution with more channels, the new filters scaled to add up to the old."""
    old = conv.weight
    new = nn.Conv2d(
        channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        bias=conv.bias is not None,
    )
    rest = channels - old.shape[1]
    copies = old.repeat(1, -(-rest // old.shape[1]), 1, 1)[:, :rest]
    new.weight.copy_(torch.cat([old, copies * (old.shape[1] / rest)], dim=1))
    if conv.bias is not None and new.bias is not None:
        new.bias.copy_(conv.bias)
    return new
