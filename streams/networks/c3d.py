"""C3D (Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015)
and the 3D-ConvNet that Quo Vadis (CVPR 2017, section 2.2) made of it.

Eight convolutions of 3 x 3 x 3, five pools, two fully connected layers; 16 frames at 112 pixels.
The layer table is that of the paper with the published code's padding of one pixel at pool5
(512 x 1 x 4 x 4 = 8192). The 3D-ConvNet has batch norm behind every convolution and fully connected
layer, and halves time in pool1 too. Then one step is left at pool5, which pools over space only.

Departure: weights start by He's rule. With the published deviation of 0.01 eight layers without
batch norm pass hardly any signal, and training from scratch on little data does not begin.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from storage.errors import UserError
from streams.networks.initial import start_before_relus
from streams.networks.network import Network

WIDTHS = {
    "conv1a": 64,
    "conv2a": 128,
    "conv3a": 256,
    "conv3b": 256,
    "conv4a": 512,
    "conv4b": 512,
    "conv5a": 512,
    "conv5b": 512,
}
HIDDEN = 4096


def build(
    channels: int,
    classes: int,
    *,
    frames: int = 16,
    size: int = 112,
    dropout: float = 0.5,
    batch_norm: bool = False,
    width: float = 1.0,
) -> Network:
    """C3D. Another number of frames or another size changes the inputs of fc6; `width` multiplies
    the filters of all layers."""
    return c3d_network(channels, classes, frames, size, dropout, batch_norm, 1, width)


def build_3d_convnet(
    channels: int,
    classes: int,
    *,
    frames: int = 16,
    size: int = 112,
    dropout: float = 0.5,
    batch_norm: bool = True,
    width: float = 1.0,
) -> Network:
    """The 3D-ConvNet of Quo Vadis."""
    return c3d_network(channels, classes, frames, size, dropout, batch_norm, 2, width)


def c3d_network(
    channels: int,
    classes: int,
    frames: int,
    size: int,
    dropout: float,
    batch_norm: bool,
    first_step: int,
    width: float,
) -> Network:
    """`first_step` is the temporal size and stride of pool1."""
    if not width > 0:
        raise UserError(f"--extra width={width} must be positive")
    if frames < 16 or size < 32:
        raise UserError(
            f"C3D pools 16 frames and 32 pixels into one place; {frames} frames at {size} pixels "
            "are too few (--length, --size)"
        )
    last = 1 if first_step == 2 else 2
    pools = {
        "conv1a": nn.MaxPool3d((first_step, 2, 2)),
        "conv2a": nn.MaxPool3d(2),
        "conv3b": nn.MaxPool3d(2),
        "conv4b": nn.MaxPool3d(2),
        "conv5b": nn.MaxPool3d((last, 2, 2), padding=(0, 1, 1)),
    }
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    before = channels
    for name, published in WIDTHS.items():
        filters = max(1, round(published * width))
        parts[name] = unit("conv", nn.Conv3d(before, filters, 3, padding=1), batch_norm)
        if name in pools:
            parts[f"pool{name[4]}"] = pools[name]
        before = filters
    parts["flatten"] = nn.Flatten()
    steps, side = frames // first_step // 8 // last, size // 16 // 2 + 1
    flat, hidden = before * steps * side**2, max(1, round(HIDDEN * width))
    parts["fc6"] = unit("linear", nn.Linear(flat, hidden), batch_norm)
    parts["drop6"] = nn.Dropout(dropout)
    parts["fc7"] = unit("linear", nn.Linear(hidden, hidden), batch_norm)
    net = Network.of_clips(
        parts,
        hidden,
        classes,
        channels=channels,
        frames=frames,
        size=size,
        fixed_size=True,
        dropout=dropout,
    )
    start_before_relus(net.backbone)
    return net


def unit(name: str, layer: nn.Conv3d | nn.Linear, batch_norm: bool) -> nn.Sequential:
    """A layer with its bias, batch norm if wanted, ReLU."""
    members: OrderedDict[str, nn.Module] = OrderedDict({name: layer})
    if batch_norm:
        norm = nn.BatchNorm3d if isinstance(layer, nn.Conv3d) else nn.BatchNorm1d
        width = layer.out_channels if isinstance(layer, nn.Conv3d) else layer.out_features
        members["norm"] = norm(width)
    members["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(members)
