"""VGG-16 (Simonyan and Zisserman, ICLR 2015): 13 layers of 3x3 and two fully connected ones.

138,357,544 numbers for RGB and 1000 classes. Equal to torchvision's `vgg16` and, with `norm`, to
its `vgg16_bn`; the names are the paper's, conv1_1 ... conv5_3, fc6 and fc7, and `renamed` turns
torchvision's numbers into them. As in torchvision the last map is pooled to 7 x 7, so that any size
can be taken; at 224 pixels, the paper's size, that changes nothing.
"""

from __future__ import annotations

from torch import nn

from streams.networks.network import Network

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
SMALLEST = 32
"""Pixels: five poolings halve them."""


def build(channels: int, classes: int, *, dropout: float = 0.5, norm: bool = False) -> Network:
    """float (N, channels, H, W) from 32 pixels -> (N, classes); 4096 features, those of fc7.

    `dropout` behind fc6 and behind fc7. `norm` adds a batch norm behind each convolution.
    """
    parts = convolutions(channels, norm)
    parts |= {
        "avgpool": nn.AdaptiveAvgPool2d(7),
        "flatten": nn.Flatten(),
        "fc6": nn.Linear(512 * 7 * 7, 4096),
        "relu6": nn.ReLU(),
        "drop6": nn.Dropout(dropout),
        "fc7": nn.Linear(4096, 4096),
        "relu7": nn.ReLU(),
    }
    return Network.of_pictures(
        parts,
        4096,
        classes,
        channels=channels,
        size=224,
        smallest=SMALLEST,
        dropout=dropout,
    )


def convolutions(channels: int, norm: bool) -> dict[str, nn.Module]:
    """The parts conv1_1 ... pool5."""
    parts: dict[str, nn.Module] = {}
    given = channels
    for block, widths in enumerate(WIDTHS, start=1):
        for layer, width in enumerate(widths, start=1):
            parts[f"conv{block}_{layer}"] = nn.Conv2d(given, width, 3, padding=1)
            if norm:
                parts[f"bn{block}_{layer}"] = nn.BatchNorm2d(width)
            parts[f"relu{block}_{layer}"] = nn.ReLU()
            given = width
        parts[f"pool{block}"] = nn.MaxPool2d(2)
    return parts


def renamed(name: str, *, norm: bool = False) -> str:
    """torchvision's name of a tensor -> ours: features.0.weight -> backbone.conv1_1.weight."""
    group, number, kind = name.split(".")
    if group == "features":
        return f"backbone.{FEATURES[norm][int(number)]}.{kind}"
    return f"{CLASSIFIER[number]}.{kind}"


FEATURES = {norm: tuple(convolutions(1, norm)) for norm in (False, True)}
CLASSIFIER = {"0": "backbone.fc6", "3": "backbone.fc7", "6": "head"}
