"""I3D of a ResNet-50: the 2-D network inflated, as mmaction2 and the non-local networks have it.

Wang et al., "Non-local Neural Networks", CVPR 2018, section 4; the layer table is that of `i3d_r50`
of mmaction2 (ResNet3d): the first layer 5 x 7 x 7 with stride 2, 3 x 1 x 1 in every other block,
and a pool over two steps behind `layer1`. The names are torchvision's of ResNet-50, with `pool2`.
28,043,472 numbers for RGB and 400 classes; 32 frames become 4 steps of 7 x 7 places.

pytorchvideo's `i3d_r50` is the same network with steps of 1 in time at the first layer and pool
(`stem_stride=1`).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from storage.errors import UserError
from streams.networks import resnets
from streams.networks.inflation import inflate
from streams.networks.network import Network

IN_TIME = {1: (0, 1, 2), 2: (0, 2), 3: (0, 2, 4), 4: (1,)}
"""Layer -> the blocks whose first convolution is 3 x 1 x 1; in all others it is 1 x 1 x 1."""


def build(
    channels: int,
    classes: int,
    *,
    frames: int = 32,
    size: int = 224,
    dropout: float = 0.5,
    stem_stride: int = 2,
) -> Network:
    """float (N, channels, T, H, W) from 2 steps of time behind the first pool -> (N, classes)."""
    if stem_stride not in (1, 2):
        raise UserError(f"--extra stem_stride={stem_stride} is not 1 or 2")
    flat = resnets.build(channels, classes, depth=50, dropout=dropout)
    kernels = {
        "*": 1,
        "backbone.conv1": 5,
        **{f"backbone.layer{n}.{b}.conv1": 3 for n, blocks in IN_TIME.items() for b in blocks},
    }
    deep = inflate(flat, kernels=kernels, strides={"*": 1}, padding="zero")
    assert isinstance(deep, Network)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for name, part in deep.backbone.named_children():
        parts[name] = part
        if name == "layer1":
            parts["pool2"] = nn.MaxPool3d((2, 1, 1))
    parts["conv1"] = stem(deep.backbone.get_submodule("conv1"), stem_stride)
    parts["maxpool"] = nn.MaxPool3d((1, 3, 3), (stem_stride, 2, 2), (0, 1, 1))
    return Network(
        parts,
        deep.head,
        channels=channels,
        size=size,
        layout="clip",
        frames=frames,
        shortest=stem_stride**2 + 1,
        dropout=dropout,
    )


def stem(inflated: nn.Module, stride: int) -> nn.Conv3d:
    """The first layer padded by two frames on both sides: "same" padding, which `inflate` gives,
    starts one frame later where the stride is 2."""
    assert isinstance(inflated, nn.Conv3d)
    steps, padding = (stride, 2, 2), (2, 3, 3)
    conv = nn.Conv3d(
        inflated.in_channels, inflated.out_channels, (5, 7, 7), steps, padding, bias=False
    )
    conv.weight = inflated.weight
    return conv
