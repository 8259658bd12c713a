"""Towers that are no ResNets."""

from __future__ import annotations

import pytest
import torch

from fusion.network.net import ConvFusionNet, fused_logits
from storage.errors import UserError
from streams.networks import StreamNet, build_network

CLASSES = 5


def test_3d_fused_has_the_parameters_of_quo_vadis() -> None:
    """Two Inception-v1 (5,599,904 numbers for RGB, 5,653,216 for ten pairs of flow), 27 x 2048 x
    512 filters with 512 biases, and a classifier of 512 x 400 + 400: 39 M in the paper."""
    with torch.device("meta"):
        pair = [
            StreamNet(build_network("inception-v1", kind, 400, length=length))
            for kind, length in (("rgb", 1), ("flow", 10))
        ]
        net = ConvFusionNet(pair[0], pair[1], join="3d-fused", stages=("last",))
        frames, flow = torch.zeros(1, 5, 3, 224, 224), torch.zeros(1, 5, 20, 224, 224)
        assert fused_logits(net.eval()((frames, flow))).shape == (1, 400)
    assert sum(p.numel() for p in net.parameters()) == 39_770_384


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16-bn", "inception-v1", "bn-inception", "r3d18"])
def test_other_networks_are_fused(name: str) -> None:
    """On the meta device: shapes, and gradients into both towers."""
    clip = name == "r3d18"
    with torch.device("meta"):
        pair = [
            StreamNet(build_network(name, kind, CLASSES, length=8 if clip else length))
            for kind, length in (("rgb", 1), ("flow", 5))
        ]
        net = ConvFusionNet(pair[0], pair[1], join="conv", hidden=8)
        side = pair[0].network.size
        channels = (24, 16) if clip else (3, 10)
        frames, flow = (torch.zeros(1, 2, c, side, side) for c in channels)
        logits = fused_logits(net((frames, flow)))
        assert logits.shape == (1, CLASSES)
        logits.sum().backward()
    for kind in ("spatial", "temporal"):
        first = net.tower(kind).network.get_submodule(net.tower(kind).network.first)
        assert first.weight.grad is not None


def test_a_concatenation_that_cannot_be_widened_is_refused() -> None:
    pair = [StreamNet(build_network("inception-v1", "rgb", CLASSES)) for _ in range(2)]
    with pytest.raises(UserError, match="--join concat: maxpool3, which follows inception3b"):
        ConvFusionNet(pair[0], pair[1], join="concat", stages=("inception3b:inception3b",))


def test_pooling_that_other_layers_forbid() -> None:
    with torch.device("meta"):
        pair = [StreamNet(build_network("vgg16", "rgb", CLASSES)) for _ in range(2)]
        with pytest.raises(UserError, match="--pool 3d needs a network whose last map"):
            ConvFusionNet(pair[0], pair[1], pool="3d")
