"""Residual attention networks: Attention-56 and Attention-92 (Wang et al., CVPR 2017).

An attention module has a trunk T of two residual units, and beside it a mask M, which pools down,
comes up again and says for every place and channel how much it counts: (1 + M) T. With M = 0 the
trunk passes unchanged, so that masks can be stacked without the signal dying.

The layers are those of the authors' Caffe files (Attention-56-deploy.prototxt and -92), and so are
the parts' names; the three stages have 1, 1, 1 or 1, 2, 3 modules. Residual units have their norms
first. What was counted, with 1000 classes:

    Attention-56: 31,810,728; with the norms' running statistics, which Caffe keeps as weights,
    31,883,432: the paper's 31.9 million.
    Attention-92: 52,466,344 (52,599,976). The paper says 51.3 million, which its authors' file does
    not give; with one unit less in one mask of the third stage it would be 51,349,160.

Public PyTorch ports differ from the files and from each other: the best known adds the trunk and
the way down into the way up of the mask. None of them is an oracle.

The mask ends in the paper's sigmoid; the authors' files have a tanh there (`gate`). Their
"Interp" is bilinear with corners aligned. `small` is for pictures of 32 pixels: a first layer of
3x3 and no pooling before the first stage; the paper says for CIFAR only that its network is
changed so.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.network import Network

Gate = Literal["sigmoid", "tanh"]
GATES = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
WIDTHS = (256, 512, 1024)
MODULES = {56: (1, 1, 1), 92: (1, 2, 3)}
"""Attention modules in each of the three stages."""


class ResidualUnit(nn.Module):
    """Residual unit, norms first: 1x1 to a quarter of the width, 3x3, 1x1."""

    def __init__(self, given: int, width: int, stride: int = 1) -> None:
        super().__init__()
        inner = width // 4
        self.bn1 = nn.BatchNorm2d(given)
        self.conv1 = nn.Conv2d(given, inner, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(inner)
        self.relu = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(inner, width, 1, bias=False)
        self.shortcut = (
            nn.Conv2d(given, width, 1, stride, bias=False)
            if given != width or stride != 1
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        active = self.relu(self.bn1(x))
        past = x if self.shortcut is None else self.shortcut(active)
        inner = self.conv2(self.relu(self.bn2(self.conv1(active))))
        change: Tensor = self.conv3(self.relu(self.bn3(inner)))
        return past + change


class Hourglass(nn.Module):
    """Pools `depth` times and comes up again to the size it had."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.down = ResidualUnit(width, width)
        self.skip = ResidualUnit(width, width) if depth > 1 else None
        self.inner = Hourglass(width, depth - 1) if depth > 1 else None
        self.up = ResidualUnit(width, width)

    def forward(self, x: Tensor) -> Tensor:
        low = self.down(self.pool(x))
        if self.inner is not None and self.skip is not None:
            low = self.skip(low) + self.inner(low)
        return F.interpolate(self.up(low), x.shape[-2:], mode="bilinear", align_corners=True)


class Attention(nn.Module):
    """unit -> (1 + mask) trunk -> unit; all maps of one width and size."""

    def __init__(self, width: int, depth: int, gate: Gate) -> None:
        super().__init__()
        self.first = ResidualUnit(width, width)
        self.trunk = nn.Sequential(ResidualUnit(width, width), ResidualUnit(width, width))
        self.mask = nn.Sequential(
            Hourglass(width, depth),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1, bias=False),
            GATES[gate](),
        )
        self.last = ResidualUnit(width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        last: Tensor = self.last((1 + self.mask(x)) * self.trunk(x))
        return last


def build(
    channels: int,
    classes: int,
    *,
    depth: int = 56,
    dropout: float = 0.0,
    gate: Gate = "sigmoid",
    small: bool = False,
) -> Network:
    """float (N, channels, H, W) -> (N, classes); 2048 features. No dropout in the paper."""
    if depth not in MODULES:
        raise UserError(f"--depth {depth} is not one of {', '.join(map(str, MODULES))}")
    if gate not in GATES:
        raise UserError(f"--extra gate={gate} is not one of {', '.join(GATES)}")
    kernel, stride = (3, 1) if small else (7, 2)
    parts: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(channels, 64, kernel, stride, kernel // 2, bias=False),
        "conv1_bn": nn.BatchNorm2d(64),
        "conv1_relu": nn.ReLU(),
    }
    if not small:
        parts["pool1"] = nn.MaxPool2d(3, 2, ceil_mode=True)
    given = 64
    for stage, (width, modules) in enumerate(zip(WIDTHS, MODULES[depth], strict=True)):
        parts[f"pre_res_{stage + 1}"] = ResidualUnit(given, width, 1 if stage == 0 else 2)
        for number in range(1, modules + 1):
            parts[f"Attention{'ABC'[stage]}_{number}"] = Attention(width, 3 - stage, gate)
        given = width
    parts |= {
        "post_res_4_1": ResidualUnit(1024, 2048, 2),
        "post_res_4_2": ResidualUnit(2048, 2048),
        "post_res_4_3": ResidualUnit(2048, 2048),
        "post_res_4_3_bn": nn.BatchNorm2d(2048),
        "post_res_4_3_relu": nn.ReLU(),
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return Network.of_pictures(
        parts,
        2048,
        classes,
        channels=channels,
        size=32 if small else 224,
        smallest=SMALLEST[small],
        dropout=dropout,
    )


SMALLEST = {False: 31, True: 8}
"""Pixels, by `small`: what the last pooling of each mask still has a map for."""
