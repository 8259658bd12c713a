"""LRCN for activity recognition (Donahue et al., CVPR 2015): CaffeNet, then an LSTM, end to end."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from streams.aggregators.convnet_lstm import FrameSequence
from streams.aggregators.recurrent import Recurrent
from streams.aggregators.stepwise import mean_probability

CLIP, CLIP_STRIDE = 16, 8
"""Frames of a clip, and from one clip's start to the next at testing; the last clip is flush with
the end: `windows.every_window(frames, CLIP, CLIP_STRIDE)`."""
SIZE = 227
FLOW_WEIGHT = 0.67
"""The share of the flow network in the sum of both."""


def convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.constant_(torch.as_tensor(conv.bias), 0.1)
    return conv


def frame_layers(channels: int = 3, *, dropout: float = 0.9) -> nn.Sequential:
    """(M, channels, 227, 227) -> fc6 (M, 4096).

    The hybrid of CaffeNet and Zeiler & Fergus' network that LRCN starts from, layer names and
    first values as in its prototxt: five convolutions (96 7x7, 384, 512, 512, 384 filters), maps
    of 111, 55, 26, 13, 13, 13 and 6, then 384 x 6 x 6 = 13,824 inputs of fc6. Caffe's pooling
    rounds sizes up.
    """
    fc6 = nn.Linear(13_824, 4096)
    nn.init.normal_(fc6.weight, std=0.01)
    nn.init.constant_(fc6.bias, 0.1)
    layers: dict[str, nn.Module] = {
        "conv1": convolution(channels, 96, 7, stride=2),
        "relu1": nn.ReLU(inplace=True),
        "pool1": nn.MaxPool2d(3, 2, ceil_mode=True),
        "norm1": nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75),
        "conv2": convolution(96, 384, 5, stride=2, groups=2),
        "relu2": nn.ReLU(inplace=True),
        "pool2": nn.MaxPool2d(3, 2, ceil_mode=True),
        "norm2": nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75),
        "conv3": convolution(384, 512, 3, padding=1),
        "relu3": nn.ReLU(inplace=True),
        "conv4": convolution(512, 512, 3, padding=1, groups=2),
        "relu4": nn.ReLU(inplace=True),
        "conv5": convolution(512, 384, 3, padding=1, groups=2),
        "relu5": nn.ReLU(inplace=True),
        "pool5": nn.MaxPool2d(3, 2, ceil_mode=True),
        "flat": nn.Flatten(),
        "fc6": fc6,
        "relu6": nn.ReLU(inplace=True),
        "drop6": nn.Dropout(dropout),
    }
    return nn.Sequential(OrderedDict(layers))


class LRCN(FrameSequence):
    """Clips (N, T, C, 227, 227) -> logits: the mean probability of an LSTM's steps.

    `dropout` is that of fc6 and that of the LSTM's output. The loss is at every step alike. The
    paper trains on clips of 16 frames, with the classifier's rate ten times that of the rest, and
    a flow network on images of (x, y, magnitude). Another `frame_network`, with its `width`,
    takes CaffeNet's place.
    """

    def __init__(
        self,
        classes: int,
        *,
        channels: int = 3,
        hidden: int = 256,
        dropout: tuple[float, float] = (0.9, 0.5),
        frame_network: nn.Module | None = None,
        width: int = 4096,
        truncation: int = 0,
    ) -> None:
        before, behind = dropout
        recurrent = Recurrent(
            width,
            classes,
            hidden=hidden,
            dropout=behind,
            prediction="mean",
            loss="mean",
            truncation=truncation,
        )
        if frame_network is None:
            frame_network = frame_layers(channels, dropout=before)
        super().__init__(frame_network, recurrent, channels=channels)


def fuse(rgb: Tensor, flow: Tensor, flow_weight: float = FLOW_WEIGHT) -> Tensor:
    """Logits (N, classes) of both networks -> logits of the weighted mean probability."""
    both = torch.stack([rgb, flow], 1)
    share = both.new_tensor([1 - flow_weight, flow_weight]).expand(len(both), 2)
    return mean_probability(both, share)
