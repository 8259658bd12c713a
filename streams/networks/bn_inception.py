"""BN-Inception (Ioffe and Szegedy, ICML 2015) as TSN uses it (Wang et al., ECCV 2016).

11,295,240 numbers for RGB and 1000 classes. The names are those of tsn-pytorch and its Caffe
ancestor, with a point where a block's name ends: `base_model.inception_3a_1x1_bn.bias` there is
`backbone.inception_3a.1x1_bn.bias` here (`renamed`). As there, convolutions keep a bias although a
batch norm follows. The momentum of the norms is torch's 0.1: Caffe's 0.9 is the share that stays.

tsn-pytorch's weights want BGR in 0 ... 255 less (104, 117, 128). That belongs to loading them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streams.networks.network import Network

Pool = Literal["average", "max"]
WIDTH = 1024
SMALLEST = 7
"""Pixels. Below, the first two poolings, without padding, have nothing left."""

# Input; 1x1; 3x3 reduced, 3x3; double 3x3 reduced, each of the two; pooled; kind of pooling.
# A block without 1x1 halves the map, and its pooled branch has no projection.
BLOCKS: dict[str, tuple[int, int, int, int, int, int, int, Pool]] = {
    "3a": (192, 64, 64, 64, 64, 96, 32, "average"),
    "3b": (256, 64, 64, 96, 64, 96, 64, "average"),
    "3c": (320, 0, 128, 160, 64, 96, 0, "max"),
    "4a": (576, 224, 64, 96, 96, 128, 128, "average"),
    "4b": (576, 192, 96, 128, 96, 128, 128, "average"),
    "4c": (576, 160, 128, 160, 128, 160, 128, "average"),
    "4d": (608, 96, 128, 192, 160, 192, 128, "average"),
    "4e": (608, 0, 128, 192, 192, 256, 0, "max"),
    "5a": (1056, 352, 192, 320, 160, 224, 128, "average"),
    "5b": (1024, 352, 192, 320, 192, 224, 128, "max"),
}


class HalvingPool(nn.MaxPool2d):
    """3x3 with stride 2, as large as the convolutions beside it make their maps.

    Caffe's pooling drops a place of an odd map which a padded convolution keeps, so that the
    published network takes only sizes whose maps are even. A column of zeros behind makes up for
    it; behind a ReLU it changes no maximum.
    """

    def __init__(self) -> None:
        super().__init__(3, 2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2)))


class Block(nn.Module):
    """Four branches side by side: 1x1, 3x3, two 3x3, and pooled."""

    def __init__(
        self,
        given: int,
        one: int,
        reduced: int,
        three: int,
        double_reduced: int,
        double: int,
        pooled: int,
        pool: Pool,
    ) -> None:
        super().__init__()
        stride = 1 if one else 2
        branches: list[tuple[str, ...]] = [("1x1",)] if one else []
        branches += [("3x3_reduce", "3x3"), ("double_3x3_reduce", "double_3x3_1", "double_3x3_2")]
        self.branches = (*branches, *([("pool", "pool_proj")] if pooled else [("pool",)]))
        if one:
            self.convolve("1x1", given, one, 1)
        self.convolve("3x3_reduce", given, reduced, 1)
        self.convolve("3x3", reduced, three, 3, stride)
        self.convolve("double_3x3_reduce", given, double_reduced, 1)
        self.convolve("double_3x3_1", double_reduced, double, 3)
        self.convolve("double_3x3_2", double, double, 3, stride)
        self.add_module("pool", branch_pool(pool, stride))
        if pooled:
            self.convolve("pool_proj", given, pooled, 1)
        self.relu = nn.ReLU(inplace=True)

    def convolve(self, name: str, given: int, width: int, kernel: int, stride: int = 1) -> None:
        self.add_module(name, nn.Conv2d(given, width, kernel, stride, kernel // 2))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch(x, names) for names in self.branches], dim=1)

    def branch(self, x: Tensor, names: tuple[str, ...]) -> Tensor:
        for name in names:
            x = getattr(self, name)(x)
            if name != "pool":
                x = self.relu(getattr(self, f"{name}_bn")(x))
        return x


def branch_pool(kind: Pool, stride: int) -> nn.Module:
    if stride == 2:
        return HalvingPool()
    return nn.MaxPool2d(3, 1, 1) if kind == "max" else nn.AvgPool2d(3, 1, 1)


def build(channels: int, classes: int, *, dropout: float = 0.5) -> Network:
    """float (N, channels, H, W) of any size from 7 pixels -> (N, classes); 1024 features."""
    parts: dict[str, nn.Module] = {
        "conv1_7x7_s2": nn.Conv2d(channels, 64, 7, 2, 3),
        "conv1_7x7_s2_bn": nn.BatchNorm2d(64),
        "conv1_relu_7x7": nn.ReLU(),
        "pool1_3x3_s2": nn.MaxPool2d(3, 2, ceil_mode=True),
        "conv2_3x3_reduce": nn.Conv2d(64, 64, 1),
        "conv2_3x3_reduce_bn": nn.BatchNorm2d(64),
        "conv2_relu_3x3_reduce": nn.ReLU(),
        "conv2_3x3": nn.Conv2d(64, 192, 3, 1, 1),
        "conv2_3x3_bn": nn.BatchNorm2d(192),
        "conv2_relu_3x3": nn.ReLU(),
        "pool2_3x3_s2": nn.MaxPool2d(3, 2, ceil_mode=True),
        **{f"inception_{name}": Block(*row) for name, row in BLOCKS.items()},
        "global_pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return Network.of_pictures(
        parts,
        WIDTH,
        classes,
        channels=channels,
        size=224,
        smallest=SMALLEST,
        dropout=dropout,
    )


def renamed(name: str) -> str:
    """tsn-pytorch's name of a tensor, or that of Cadene's port -> ours."""
    name = name.removeprefix("module.").removeprefix("base_model.")
    if name.startswith(("new_fc.", "last_linear.", "fc.")):
        return f"head.{name.split('.', 1)[1]}"
    return "backbone." + re.sub(r"^inception_(..)_", r"inception_\1.", name)


def from_tsn(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """tsn-pytorch's state dict in our names.

    Its oldest files keep the numbers of a batch norm as (1, C); torch wants (C,).
    """
    return {
        renamed(name): value.squeeze(0) if "_bn." in name and value.ndim == 2 else value
        for name, value in state.items()
    }
