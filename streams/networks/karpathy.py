"""Four ways to let a network see time: single frame, late, early and slow fusion.

Karpathy et al., Large-scale video classification with convolutional neural networks, CVPR 2014:
C(96,11,3)-N-P-C(256,5,1)-N-P-C(384,3,1)-C(384,3,1)-C(256,3,1)-P-FC(4096)-FC(4096)-softmax on
170 px, where C(d,f,s) has d filters of f x f px and stride s, N is local response normalisation
and P a maximum over 2 x 2 places. All four are one table; they differ in how many frames a layer
sees at once. Time is never padded.

Where the paper is silent: convolutions are padded by half their kernel, which gives the map of
7 x 7 x 256 before the first fully connected layer that it names. Where we depart from it: weights
start as He et al. have it, since Gaussians of .01 do not train without a long warm-up; batch norm
is an option (`norm="batch"`); and so is an average over a `grid` before the fully connected layers
(`grid=2`), behind which any size can enter. Without a grid the first fully connected layer is built
for `size`, which may also be small (64 px leave a map of 2 x 2).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.initial import start_before_relus
from streams.networks.network import Network

Norm = Literal["lrn", "batch"]
NORMS = ("lrn", "batch")
TOWERS_APART = 15
"""Frames from one tower of late fusion to the other."""
SMALLEST = 22
"""Pixels that leave one place behind the third pooling."""


@dataclass(frozen=True)
class TimeLayer:
    """A convolution, and whether normalisation and pooling follow it."""

    filters: int
    kernel: int
    stride: int = 1
    normalised: bool = False
    pooled: bool = False
    frames: int = 1
    """Frames, or places in time, that it sees at once."""
    frame_stride: int = 1


SINGLE = (
    TimeLayer(96, 11, 3, normalised=True, pooled=True),
    TimeLayer(256, 5, normalised=True, pooled=True),
    TimeLayer(384, 3),
    TimeLayer(384, 3),
    TimeLayer(256, 3, pooled=True),
)


class EndFrames(nn.Module):
    """(N, C, T, H, W) -> its first and last frame, (N, C, 2, H, W)."""

    def forward(self, clip: Tensor) -> Tensor:
        return torch.stack((clip[:, :, 0], clip[:, :, -1]), 2)


class TowersInRow(nn.Module):
    """(N, C, T, H, W) -> (N, T C H W): all that tower 1 saw, then all of tower 2."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.transpose(1, 2).flatten(1)


def build_single(
    channels: int,
    classes: int,
    *,
    size: int = 170,
    norm: Norm = "lrn",
    grid: int | None = None,
    width: float = 1.0,
    dropout: float = 0.5,
) -> Network:
    """`karpathy-single`: (N, C, 1, H, W). `width` multiplies the filters of every layer."""
    return assemble(SINGLE, 1, channels, classes, size, norm, grid, width, dropout)


def build_late(
    channels: int,
    classes: int,
    *,
    frames: int = TOWERS_APART + 1,
    size: int = 170,
    norm: Norm = "lrn",
    grid: int | None = None,
    width: float = 1.0,
    dropout: float = 0.5,
) -> Network:
    """`karpathy-late`: one tower for the first frame of a clip and for the last; the first fully
    connected layer sees both. Of 16 consecutive frames these are 15 apart; a clip of two frames
    that already are (`frames=2`) need not decode what lies between."""
    if frames < 2:
        raise UserError(f"late fusion takes at least 2 frames, not {frames}; change --length")
    return assemble(
        SINGLE, frames, channels, classes, size, norm, grid, width, dropout, ends_only=True
    )


def build_early(
    channels: int,
    classes: int,
    *,
    frames: int = 10,
    size: int = 170,
    norm: Norm = "lrn",
    grid: int | None = None,
    width: float = 1.0,
    dropout: float = 0.5,
) -> Network:
    """`karpathy-early`: the first layer sees all frames at once."""
    if frames < 1:
        raise UserError(f"early fusion takes at least 1 frame, not {frames}; change --length")
    layers = (replace(SINGLE[0], frames=frames), *SINGLE[1:])
    return assemble(layers, frames, channels, classes, size, norm, grid, width, dropout)


def build_slow(
    channels: int,
    classes: int,
    *,
    size: int = 170,
    norm: Norm = "lrn",
    grid: int | None = None,
    width: float = 1.0,
    dropout: float = 0.5,
) -> Network:
    """`karpathy-slow`: 10 frames become 4, 2 and 1 behind the first three layers."""
    layers = (
        replace(SINGLE[0], frames=4, frame_stride=2),
        *(replace(layer, frames=2, frame_stride=2) for layer in SINGLE[1:3]),
        *SINGLE[3:],
    )
    return assemble(layers, 10, channels, classes, size, norm, grid, width, dropout)


def assemble(
    layers: Sequence[TimeLayer],
    frames: int,
    channels: int,
    classes: int,
    size: int,
    norm: Norm,
    grid: int | None,
    width: float,
    dropout: float,
    *,
    ends_only: bool = False,
) -> Network:
    """The network of a table of convolutions."""
    check_choice(size, norm, grid, width)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if ends_only:
        parts["ends"] = EndFrames()
    before, places = channels, size
    for i, layer in enumerate(layers, 1):
        filters = scaled(layer.filters, width)
        parts[f"conv{i}"] = nn.Conv3d(
            before,
            filters,
            (layer.frames, layer.kernel, layer.kernel),
            (layer.frame_stride, layer.stride, layer.stride),
            (0, layer.kernel // 2, layer.kernel // 2),
            bias=norm == "lrn",
        )
        if norm == "batch":
            parts[f"norm{i}"] = nn.BatchNorm3d(filters)
        parts[f"relu{i}"] = nn.ReLU()
        if norm == "lrn" and layer.normalised:
            # Krizhevsky et al. weigh the sum over 5 channels by 1e-4; torch weighs their mean.
            parts[f"norm{i}"] = nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.5, k=2.0)
        places = (places - 1) // layer.stride + 1
        if layer.pooled:
            parts[f"pool{i}"] = nn.MaxPool3d((1, 2, 2))
            places //= 2
        before = filters
    if grid is not None:
        parts["grid"] = nn.AdaptiveAvgPool3d((None, grid, grid))
        places = grid
    towers, hidden = 2 if ends_only else 1, scaled(4096, width)
    parts["row"] = TowersInRow()
    parts["fc6"] = nn.Linear(towers * before * places**2, hidden)
    parts["relu6"] = nn.ReLU()
    parts["drop6"] = nn.Dropout(dropout)
    parts["fc7"] = nn.Linear(hidden, hidden)
    parts["relu7"] = nn.ReLU()
    net = Network.of_clips(
        parts,
        hidden,
        classes,
        channels=channels,
        frames=frames,
        size=size,
        fixed_size=grid is None,
        fixed_frames=not ends_only,
        dropout=dropout,
    )
    start_before_relus(net.backbone)
    return net


def check_choice(size: int, norm: str, grid: int | None, width: float) -> None:
    if norm not in NORMS:
        raise UserError(f"--extra norm={norm} is not one of {', '.join(NORMS)}")
    if size < SMALLEST:
        raise UserError(f"a side of {size} px leaves no map; change --size to {SMALLEST} or more")
    if grid is not None and grid < 1:
        raise UserError(f"--extra grid={grid} must be at least 1")
    if not width > 0:
        raise UserError(f"--extra width={width} must be positive")


def scaled(filters: int, width: float) -> int:
    return max(1, round(filters * width))
