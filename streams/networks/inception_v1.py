"""Inception-v1 (GoogLeNet, Szegedy et al., CVPR 2015) with batch norm, as Quo Vadis has it.

The layers, names and numbers are those of torchvision's `googlenet` without its two auxiliary
classifiers. As there, and in I3D, the third branch has a 3x3 layer where the paper has 5x5.
5,599,904 numbers for RGB without the classifier.

torchvision's ImageNet weights want their input in other units: `transform_input` there maps
ImageNet's mean and deviation to [-1, 1]. That belongs to loading weights, not to the network.

`padding="same"` pads as TensorFlow does. Weights of DeepMind's I3D, summed over time, need it;
torchvision's need `symmetric`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.network import Network
from streams.networks.padding import SameConv2d, SameMaxPool2d

Padding = Literal["symmetric", "same"]

MIXED: dict[str, tuple[int, ...]] = {
    # input, 1x1, 3x3 reduced, 3x3, 5x5 reduced, "5x5", pooled
    "inception3a": (192, 64, 96, 128, 16, 32, 32),
    "inception3b": (256, 128, 128, 192, 32, 96, 64),
    "inception4a": (480, 192, 96, 208, 16, 48, 64),
    "inception4b": (512, 160, 112, 224, 24, 64, 64),
    "inception4c": (512, 128, 128, 256, 24, 64, 64),
    "inception4d": (512, 112, 144, 288, 32, 64, 64),
    "inception4e": (528, 256, 160, 320, 32, 128, 128),
    "inception5a": (832, 256, 160, 320, 32, 128, 128),
    "inception5b": (832, 384, 192, 384, 48, 128, 128),
}
WIDTH = 1024
SMALLEST = {"symmetric": 15, "same": 1}
"""Pixels. Below, torchvision's pooling without padding has nothing left to pool."""


class Convolution(nn.Sequential):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(
        self, given: int, width: int, kernel: int, stride: int = 1, padding: Padding = "symmetric"
    ) -> None:
        super().__init__()
        sides, steps = (kernel, kernel), (stride, stride)
        self.conv = (
            SameConv2d(given, width, sides, steps, bias=False)
            if padding == "same"
            else nn.Conv2d(given, width, sides, steps, kernel // 2, bias=False)
        )
        self.bn = nn.BatchNorm2d(width, eps=1e-3)
        self.relu = nn.ReLU(inplace=True)


class Mixed(nn.Module):
    """Four branches side by side: 1x1, 3x3, "5x5", and pooled."""

    def __init__(
        self, given: int, one: int, reduced3: int, three: int, reduced5: int, five: int, pooled: int
    ) -> None:
        super().__init__()
        self.branch1 = Convolution(given, one, 1)
        self.branch2 = reduced(given, reduced3, three)
        self.branch3 = reduced(given, reduced5, five)
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Convolution(given, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)]
        return torch.cat(branches, dim=1)


def reduced(given: int, inner: int, width: int) -> nn.Sequential:
    return nn.Sequential(Convolution(given, inner, 1), Convolution(inner, width, 3))


def build(
    channels: int, classes: int, *, dropout: float = 0.5, padding: Padding = "symmetric"
) -> Network:
    """float (N, channels, H, W) of any size from 15 pixels -> (N, classes); 1024 features."""
    if padding not in SMALLEST:
        raise UserError(f"--extra padding={padding} is not one of {', '.join(SMALLEST)}")
    mixed = {name: Mixed(*widths) for name, widths in MIXED.items()}
    parts: dict[str, nn.Module] = {
        "conv1": Convolution(channels, 64, 7, 2, padding),
        "maxpool1": pooling(3, padding),
        "conv2": Convolution(64, 64, 1),
        "conv3": Convolution(64, 192, 3),
        "maxpool2": pooling(3, padding),
        **{name: part for name, part in mixed.items() if name.startswith("inception3")},
        "maxpool3": pooling(3, padding),
        **{name: part for name, part in mixed.items() if name.startswith("inception4")},
        "maxpool4": pooling(2, padding),
        **{name: part for name, part in mixed.items() if name.startswith("inception5")},
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return Network.of_pictures(
        parts,
        WIDTH,
        classes,
        channels=channels,
        size=224,
        smallest=SMALLEST[padding],
        dropout=dropout,
    )


def renamed(name: str) -> str | None:
    """torchvision's name of a tensor -> ours; None for its auxiliary classifiers."""
    if name.startswith("aux"):
        return None
    return f"head.{name[3:]}" if name.startswith("fc.") else f"backbone.{name}"


def pooling(kernel: int, padding: Padding) -> nn.Module:
    """Maximum with stride 2. At even sizes both kinds are the same."""
    if padding == "same":
        return SameMaxPool2d((kernel, kernel), (2, 2))
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)
