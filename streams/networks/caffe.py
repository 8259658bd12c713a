"""The networks of the years of Caffe: CaffeNet, its offspring in LRCN, and VGG-M.

    VGG-M-2048: CNN-M of Chatfield et al. (BMVC 2014) with fc7 of 2048, which the two-stream network
    of Simonyan and Zisserman (NIPS 2014) is made of. 92,469,864 numbers, 1000 classes, 224 px.
        conv1 96x7x7 /2, ReLU, LRN, pool 3/2 | conv2 256x5x5 /2 pad 1, ReLU, LRN, pool 3/2 |
        conv3, conv4, conv5 512x3x3 pad 1, ReLU | pool 3/2 | fc6 4096 | fc7 2048
        LRN over 5 channels, alpha 5e-4, beta 0.75, k 2. The temporal network has no second LRN.
    CaffeNet: AlexNet (Krizhevsky et al., NIPS 2012) in one column, LRN behind the pooling.
    60,965,224 numbers, 227 px.
        conv1 96x11x11 /4, ReLU, pool 3/2, LRN | conv2 256x5x5 pad 2 in 2 groups, ReLU, pool 3/2,
        LRN | conv3 384x3x3 pad 1 | conv4 384x3x3 in 2 groups | conv5 256x3x3 in 2 groups |
        pool 3/2 | fc6 4096 | fc7 4096
        LRN over 5 channels, alpha 1e-4, beta 0.75, k 1.
    LRCN's (Donahue et al., CVPR 2015): CaffeNet's order with wider layers, 227 px.
        conv1 96x7x7 /2 | conv2 384x5x5 /2 in 2 groups | conv3 512 | conv4 512 in 2 groups |
        conv5 384 in 2 groups | 384 x 6 x 6 = 13,824 | fc6 4096 | fc7 4096

Their fully connected layers take one size only: that which they are built for. Weights start as He
et al. have it, not from Gaussians of 0.01.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from storage.errors import UserError
from streams.networks.network import Network


@dataclass(frozen=True)
class Layer:
    """A convolution: width, kernel, stride, padding, groups; pooled and normalised or not."""

    width: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    pooled: bool = False
    normalised: bool = False


@dataclass(frozen=True)
class Norm:
    """Local response normalisation over 5 channels, before or behind the pooling."""

    alpha: float
    k: float
    first: bool

    def layer(self) -> nn.LocalResponseNorm:
        return nn.LocalResponseNorm(5, alpha=self.alpha, beta=0.75, k=self.k)


VGG_M = (
    Layer(96, 7, 2, pooled=True, normalised=True),
    Layer(256, 5, 2, 1, pooled=True, normalised=True),
    Layer(512, 3, 1, 1),
    Layer(512, 3, 1, 1),
    Layer(512, 3, 1, 1, pooled=True),
)
VGG_M_TEMPORAL = (VGG_M[0], Layer(256, 5, 2, 1, pooled=True), *VGG_M[2:])
CAFFENET = (
    Layer(96, 11, 4, pooled=True, normalised=True),
    Layer(256, 5, 1, 2, 2, pooled=True, normalised=True),
    Layer(384, 3, 1, 1),
    Layer(384, 3, 1, 1, 2),
    Layer(256, 3, 1, 1, 2, pooled=True),
)
LRCN = (
    Layer(96, 7, 2, pooled=True, normalised=True),
    Layer(384, 5, 2, 0, 2, pooled=True, normalised=True),
    Layer(512, 3, 1, 1),
    Layer(512, 3, 1, 1, 2),
    Layer(384, 3, 1, 1, 2, pooled=True),
)


def last_side(layers: tuple[Layer, ...], size: int) -> int:
    """Places of a side of the last map, at least 1: 6 in all three at the published size."""
    places = places_behind(layers, size)
    if not places:
        least = next(side for side in range(size, 1000) if places_behind(layers, side))
        raise UserError(
            f"{size} pixels leave no map before the fully connected layers; raise --size to "
            f"{least} or more"
        )
    return places


def places_behind(layers: tuple[Layer, ...], size: int) -> int:
    """0 where nothing is left."""
    for layer in layers:
        size = (size + 2 * layer.padding - layer.kernel) // layer.stride + 1
        if size < (3 if layer.pooled else 1):
            return 0
        if layer.pooled:
            size = -(-(size - 3) // 2) + 1
    return size


def vgg_m(
    channels: int,
    classes: int,
    *,
    dropout: float = 0.5,
    second_norm: bool | None = None,
    width: int = 2048,
    size: int = 224,
) -> Network:
    """float (N, channels, size, size) -> (N, classes).

    `second_norm` None: as in the two-stream network, for RGB only. `width` of fc7: 2048, 1024 or
    128 in Chatfield's, 4096 in CNN-M.
    """
    both = channels == 3 if second_norm is None else second_norm
    layers = VGG_M if both else VGG_M_TEMPORAL
    return chain(channels, classes, layers, Norm(5e-4, 2, True), size, width, dropout)


def caffenet(channels: int, classes: int, *, dropout: float = 0.5, size: int = 227) -> Network:
    """float (N, channels, size, size) -> (N, classes); 4096 features."""
    return chain(channels, classes, CAFFENET, Norm(1e-4, 1, False), size, 4096, dropout)


def lrcn_caffenet(
    channels: int, classes: int, *, dropout: float = 0.9, size: int = 227, width: float = 1.0
) -> Network:
    """LRCN's frame network: float (N, channels, size, size) -> (N, classes); 4096 features.

    `width` multiplies the filters of all layers; they stay even, since there are two groups.
    """
    if not width > 0:
        raise UserError(f"--extra width={width} must be positive")
    layers = tuple(replace(layer, width=even(layer.width * width)) for layer in LRCN)
    full = even(4096 * width)
    return chain(channels, classes, layers, Norm(1e-4, 1, False), size, full, dropout, full)


def even(filters: float) -> int:
    return max(2, 2 * round(filters / 2))


def chain(
    channels: int,
    classes: int,
    layers: tuple[Layer, ...],
    norm: Norm,
    size: int,
    width: int,
    dropout: float,
    inner: int = 4096,
) -> Network:
    """The parts conv1, relu1, norm1, pool1 ... pool5, fc6 of `inner`, relu6, drop6, fc7 of `width`,
    relu7."""
    parts: dict[str, nn.Module] = {}
    given = channels
    for number, layer in enumerate(layers, start=1):
        parts[f"conv{number}"] = nn.Conv2d(
            given, layer.width, layer.kernel, layer.stride, layer.padding, groups=layer.groups
        )
        parts[f"relu{number}"] = nn.ReLU()
        behind: dict[str, nn.Module] = {}
        behind |= {f"norm{number}": norm.layer()} if layer.normalised else {}
        if layer.pooled:
            # Caffe's poolings count a last window that hangs over the edge.
            pool: dict[str, nn.Module] = {f"pool{number}": nn.MaxPool2d(3, 2, ceil_mode=True)}
            behind = behind | pool if norm.first else pool | behind
        parts |= behind
        given = layer.width
    parts |= {
        "flatten": nn.Flatten(),
        "fc6": nn.Linear(given * last_side(layers, size) ** 2, inner),
        "relu6": nn.ReLU(),
        "drop6": nn.Dropout(dropout),
        "fc7": nn.Linear(inner, width),
        "relu7": nn.ReLU(),
    }
    return Network.of_pictures(
        parts,
        width,
        classes,
        channels=channels,
        size=size,
        fixed_size=True,
        dropout=dropout,
    )
