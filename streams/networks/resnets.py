"""ResNets (He et al., CVPR 2016), in torchvision's variant: the stride is in the 3x3 layer.

The names under `backbone` are torchvision's: conv1, bn1, relu, maxpool, layer1 ... layer4, avgpool.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from storage.errors import UserError
from streams.networks.initial import classifier, randomise
from streams.networks.network import Network
from streams.networks.torchvision_compat import models

DEPTHS = (18, 34, 50, 101, 152)


def build(channels: int, classes: int, *, depth: int = 50, dropout: float = 0.5) -> Network:
    """float (N, channels, H, W) of any size -> (N, classes); features 512 or 2048 wide."""
    if depth not in DEPTHS:
        raise UserError(f"--depth {depth} is not one of {', '.join(map(str, DEPTHS))}")
    net: Any = models.get_model(f"resnet{depth}", weights=None)
    first = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    randomise(first)
    parts = {
        "conv1": first if channels != 3 else net.conv1,
        "bn1": net.bn1,
        # Not in place: whoever takes the map behind bn1 must find it unchanged afterwards.
        "relu": nn.ReLU(),
        "maxpool": net.maxpool,
        "layer1": net.layer1,
        "layer2": net.layer2,
        "layer3": net.layer3,
        "layer4": net.layer4,
        "avgpool": net.avgpool,
        "flatten": nn.Flatten(),
    }
    head = classifier(net.fc.in_features, classes)
    return Network(parts, head, channels=channels, size=224, dropout=dropout)


def renamed(name: str) -> str:
    """torchvision's name of a tensor -> ours."""
    return f"head.{name[3:]}" if name.startswith("fc.") else f"backbone.{name}"
