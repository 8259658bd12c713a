"""How a network starts: from random weights, or from weights for RGB at its first layer.

Weights for pictures start a network for flow too: the filters of the first layer, three channels
deep, are averaged over the three and repeated for as many channels as the input has (Wang et al.,
TSN, ECCV 2016: "cross-modality initialisation").
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from storage.errors import UserError

Rule = Literal["rescaled", "mean"]
"""mean: each channel gets the mean of the three, as in TSN.
rescaled: the same times 3 / channels, so that a stack whose channels all are one grey picture
excites a filter exactly as that picture does in the RGB network, whose later layers expect that
range."""

DIMENSIONS = (4, 5)
"""Of the weights of nn.Conv2d and nn.Conv3d."""


def cross_modality(weight: Tensor, channels: int, rule: Rule = "rescaled") -> Tensor:
    """Filters (F, 3, ...) of a 2-D or 3-D convolution -> (F, channels, ...)."""
    if weight.ndim not in DIMENSIONS:
        raise UserError(
            f"the first layer's weights have shape {tuple(weight.shape)}, not that of a 2-D or 3-D "
            "convolution; --weights takes weights of another network of the same name"
        )
    given = weight.shape[1]
    scale = given / channels if rule == "rescaled" else 1.0
    mean = weight.mean(dim=1, keepdim=True) * scale
    return mean.expand(-1, channels, *mean.shape[2:]).clone()


def adapted(
    state: Mapping[str, Tensor], first: str, channels: int, rule: Rule = "rescaled"
) -> dict[str, Tensor]:
    """`state` for a network of `channels`; `first` names its first layer (`Network.first`)."""
    key = f"{first}.weight"
    if key not in state:
        raise UserError(f"these weights have no {key}: they are of another network")
    weight = state[key]
    if weight.shape[1] == channels:
        return dict(state)
    return {**state, key: cross_modality(weight, channels, rule)}


def widened(
    convolution: nn.Module, channels: int, rule: Rule | None = "rescaled"
) -> nn.Conv2d | nn.Conv3d:
    """The same layer for `channels`: cross-modality weights, or with rule None random ones."""
    if not isinstance(convolution, nn.Conv2d | nn.Conv3d) or convolution.groups != 1:
        raise UserError(
            f"the first layer is {convolution}: only an ungrouped convolution can be given "
            f"{channels} channels; take another --network"
        )
    # A copy, because libraries have convolutions of their own kinds (padding, scaled weights).
    wide = copy.deepcopy(convolution)
    wide.in_channels = channels
    weight = cross_modality(convolution.weight.detach(), channels, rule or "rescaled")
    wide.weight = nn.Parameter(weight)
    if rule is None:
        nn.init.kaiming_normal_(wide.weight, mode="fan_out", nonlinearity="relu")
    return wide


def randomise(net: nn.Module) -> None:
    """Weights for training from scratch.

    He et al. 2015 for convolutions, 1 and 0 for batch norms, normal with 0.01 for fully connected
    layers. Gaussians of 0.01 everywhere, as in the papers before, let deep nets without batch norm
    stand still.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        elif isinstance(module, _BatchNorm) and module.affine:
            nn.init.ones_(module.weight)
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear | _BatchNorm):
            bias = module.bias
            if bias is not None:
                nn.init.zeros_(bias)


def start_before_relus(net: nn.Module) -> None:
    """He's rule by the inputs of a layer, for convolutions and fully connected layers alike, and
    biases of 0: networks without batch norm start to learn from it."""
    for module in net.modules():
        if isinstance(module, nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def classifier(features: int, classes: int) -> nn.Linear:
    """The last layer: small weights, so that training starts with all classes about as likely."""
    head = nn.Linear(features, classes)
    start_small(head)
    return head


def start_small(head: nn.Linear) -> None:
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
