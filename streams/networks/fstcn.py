"""FstCN (Sun et al., "Human Action Recognition using Factorized Spatio-Temporal Convolutional
Networks", ICCV 2015): 3-D kernels as 2-D kernels in space, then 1-D kernels in time.

Four spatial layers (96, 256, 512, 512) run over the 16 frames of a clip and over the differences of
neighbouring frames. Then one path looks at the middle frame, the other along time at the
differences: a spatial layer, the permutation of channels, kernels of 3 and 5 steps side by side.
Layer table as in MRzzm/action-recognition-models-pytorch, which has no permutation.

Departures: the network takes the clip alone and makes the differences itself, from one frame to the
next (in the paper the frames lie farther apart: `distance`), the last repeated to keep 16; ReLU
between fully connected layers and behind the layers of 128 (that code has none there); the
permutation is a square matrix that is learnt and starts as the one that changes nothing; no local
response norm; weights start by He's rule.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.clip_layers import repeat_ends
from streams.networks.initial import start_before_relus
from streams.networks.network import Network

HIDDEN, JOINT = 4096, 2048
NARROW = 128
TEMPORAL_KERNELS = (3, 5)
TEMPORAL_WIDTH = 32


class WithDifferences(nn.Module):
    """(N, C, T, H, W) -> (N, C, 2 T, H, W): the frames, then how far each is from a later one.

    `distance` is the number of frames between the two.
    """

    def __init__(self, distance: int) -> None:
        super().__init__()
        self.distance = distance

    def forward(self, x: Tensor) -> Tensor:
        change = (x[:, :, self.distance :] - x[:, :, : -self.distance]).abs()
        return torch.cat([x, repeat_ends(change, 0, self.distance)], dim=2)


class Permutation(nn.Module):
    """Channels in another order or mixture, as a matrix that is learnt; starts as identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("oc,ncthw->nothw", self.weight, x)


class TemporalLayer(nn.Module):
    """TCL: kernels over 3 and over 5 steps side by side, each with ReLU and half of the steps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for kernel in TEMPORAL_KERNELS:
            path = (temporal_conv(channels, TEMPORAL_WIDTH, kernel), nn.ReLU())
            self.add_module(f"steps{kernel}", nn.Sequential(*path, nn.MaxPool3d((2, 1, 1))))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([path(x) for path in self.children()], dim=1)


class TwoPaths(nn.Module):
    """Maps of frames and differences (N, 512, 2 T, h, w) -> (N, 4096): appearance, then motion."""

    def __init__(self, spatial_width: int, temporal_width: int, dropout: float) -> None:
        super().__init__()
        self.spatial = narrow()
        self.temporal = narrow()
        self.permutation = Permutation(NARROW)
        self.tcl = TemporalLayer(NARROW)
        self.spatial_fc = two_layers(spatial_width, dropout)
        self.temporal_fc = two_layers(temporal_width, dropout)

    def forward(self, x: Tensor) -> Tensor:
        frames, changes = x.chunk(2, dim=2)
        middle = frames.shape[2] // 2
        appearance = self.spatial(frames[:, :, middle : middle + 1]).flatten(1)
        motion = self.tcl(self.permutation(self.temporal(changes))).flatten(1)
        return torch.cat([self.spatial_fc(appearance), self.temporal_fc(motion)], dim=1)


def spatial_conv(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Conv3d:
    """Kernels in space only, frame by frame."""
    side = kernel // 2
    return nn.Conv3d(channels, width, (1, kernel, kernel), (1, stride, stride), (0, side, side))


def temporal_conv(channels: int, width: int, kernel: int) -> nn.Conv3d:
    """Kernels in time only, place by place."""
    return nn.Conv3d(channels, width, (kernel, 1, 1), padding=(kernel // 2, 0, 0))


def scl(channels: int, width: int, kernel: int, stride: int, pool: bool) -> nn.Sequential:
    """A spatial layer: convolution, ReLU and, in the first two, a pool 3 x 3 of stride 2."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=spatial_conv(channels, width, kernel, stride), relu=nn.ReLU()
    )
    if pool:
        parts["pool"] = nn.MaxPool3d((1, 3, 3), (1, 2, 2))
    return nn.Sequential(parts)


def narrow() -> nn.Sequential:
    """512 -> 128 channels and a third of the places."""
    return nn.Sequential(spatial_conv(512, NARROW, 3), nn.ReLU(), nn.MaxPool3d((1, 3, 3)))


def two_layers(width: int, dropout: float) -> nn.Sequential:
    first, second = nn.Linear(width, HIDDEN), nn.Linear(HIDDEN, JOINT)
    return nn.Sequential(first, nn.ReLU(), nn.Dropout(dropout), second, nn.ReLU())


def places(size: int) -> int:
    """How many places a side has before the fully connected layers."""
    for _ in range(2):
        size = ((size + 1) // 2 - 3) // 2 + 1
    return size // 3


def build(
    channels: int,
    classes: int,
    *,
    frames: int = 16,
    size: int = 204,
    dropout: float = 0.5,
    distance: int = 1,
) -> Network:
    """Another number of frames or another size changes the width of the fully connected layers.

    `distance` says how many frames lie between the two of a difference.
    """
    side = places(size)
    if side < 1 or frames < 2:
        raise UserError(
            f"FstCN needs 2 frames and 53 pixels at least, not {frames} at {size} "
            "(--length, --size)"
        )
    if not 0 < distance < frames:
        raise UserError(
            f"--extra distance={distance}: such differences do not fit into clips of {frames} "
            f"frames; take 1 to {frames - 1}"
        )
    width = NARROW * side**2
    motion = len(TEMPORAL_KERNELS) * TEMPORAL_WIDTH * (frames // 2) * side**2
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        differences=WithDifferences(distance),
        SCL1=scl(channels, 96, 7, 2, pool=True),
        SCL2=scl(96, 256, 5, 2, pool=True),
        SCL3=scl(256, 512, 3, 1, pool=False),
        SCL4=scl(512, 512, 3, 1, pool=False),
        paths=TwoPaths(width, motion, dropout),
        fc=nn.Sequential(nn.Linear(2 * JOINT, JOINT), nn.ReLU()),
    )
    net = Network.of_clips(
        parts,
        JOINT,
        classes,
        channels=channels,
        frames=frames,
        size=size,
        fixed_size=True,
        dropout=dropout,
    )
    start_before_relus(net.backbone)
    return net
