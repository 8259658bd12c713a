"""T3D (Diba et al., "Temporal 3D ConvNets: New Architecture and Transfer Learning for Video
Classification", 2017): a DenseNet for clips with temporal transition layers.

DenseNet3D is DenseNet-121 with kernels 3 x 3 x 3 (3 x 7 x 7 in the first layer). T3D has, behind
each of the first three dense blocks, three convolutions side by side that see 1, 3 and 4 steps of
time (1 x 1 x 1, 3 x 3 x 3, 4 x 3 x 3; 128 filters each). Layer table of MohsenFayyaz89/T3D.

Departures: those convolutions are padded so that the three maps fit together (the published code
leaves it out); the last pool takes the whole of space and time; pools in the transitions keep an
odd last step, so that clips shorter than 32 frames pass.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from streams.networks.clip_layers import ClipAvgPool3d, ClipConv3d
from streams.networks.initial import start_before_relus
from streams.networks.network import Network

BLOCKS = (6, 12, 24, 16)
GROWTH = 32
BOTTLENECK = 4 * GROWTH
DEPTHS = (1, 3, 4)
DEPTH_WIDTH = 128


class DenseLayer(nn.Module):
    """Adds `GROWTH` channels to those that come in. Names are torchvision's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm3d(channels)
        self.conv1 = nn.Conv3d(channels, BOTTLENECK, 1, bias=False)
        self.norm2 = nn.BatchNorm3d(BOTTLENECK)
        self.conv2 = nn.Conv3d(BOTTLENECK, GROWTH, 3, padding=1, bias=False)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.conv1(self.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(self.relu(self.norm2(narrow)))], dim=1)


class TemporalTransition(nn.Module):
    """Several depths in time side by side, each behind its own batch norm and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for depth in DEPTHS:
            side = 1 if depth == 1 else 3
            path = OrderedDict(
                norm=nn.BatchNorm3d(channels),
                relu=nn.ReLU(),
                conv=ClipConv3d(channels, DEPTH_WIDTH, (depth, side, side), bias=False),
            )
            self.add_module(f"depth{depth}", nn.Sequential(path))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([path(x) for path in self.children()], dim=1)


def transition(channels: int, width: int) -> nn.Sequential:
    """Batch norm, ReLU, 1 x 1 x 1, and half of time and space."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm3d(channels),
            relu=nn.ReLU(),
            conv=nn.Conv3d(channels, width, 1, bias=False),
            pool=ClipAvgPool3d((2, 2, 2), (2, 2, 2), ceil_mode=True),
        )
    )


def build(
    channels: int, classes: int, *, frames: int = 32, size: int = 224, dropout: float = 0.0
) -> Network:
    """T3D-121."""
    return dense_network(channels, classes, frames, size, dropout, temporal=True)


def build_densenet3d121(
    channels: int, classes: int, *, frames: int = 32, size: int = 224, dropout: float = 0.0
) -> Network:
    """DenseNet3D-121, T3D without its temporal transitions."""
    return dense_network(channels, classes, frames, size, dropout, temporal=False)


def dense_network(
    channels: int, classes: int, frames: int, size: int, dropout: float, temporal: bool
) -> Network:
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv0=nn.Conv3d(channels, 64, (3, 7, 7), 2, (1, 3, 3), bias=False),
        norm0=nn.BatchNorm3d(64),
        relu0=nn.ReLU(),
        pool0=nn.MaxPool3d(3, 2, 1),
    )
    width = 64
    for number, layers in enumerate(BLOCKS, 1):
        block: OrderedDict[str, nn.Module] = OrderedDict(
            (f"denselayer{i + 1}", DenseLayer(width + i * GROWTH)) for i in range(layers)
        )
        parts[f"denseblock{number}"] = nn.Sequential(block)
        width += layers * GROWTH
        if number == len(BLOCKS):
            break
        narrow = width // 2
        if temporal:
            parts[f"ttl{number}"] = TemporalTransition(width)
            narrow = width = len(DEPTHS) * DEPTH_WIDTH
        parts[f"transition{number}"] = transition(width, narrow)
        width = narrow
    parts["norm5"] = nn.BatchNorm3d(width)
    parts["relu5"] = nn.ReLU()
    parts["pool5"] = nn.AdaptiveAvgPool3d(1)
    parts["flatten"] = nn.Flatten()
    net = Network.of_clips(
        parts,
        width,
        classes,
        channels=channels,
        frames=frames,
        size=size,
        smallest=32,
        dropout=dropout,
    )
    start_before_relus(net.backbone)
    return net
