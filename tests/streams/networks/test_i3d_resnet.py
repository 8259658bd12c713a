"""I3D of a ResNet-50: published counts and shapes, and the layers written out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from storage.errors import UserError
from streams.networks.i3d_resnet import build

DEEP = {"1": "012", "2": "02", "3": "024", "4": "1"}
"""Blocks whose first convolution spans three steps, as mmaction2's table has them:
(1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0)."""


def test_parameters_and_maps_are_those_published() -> None:
    with torch.device("meta"):
        net = build(3, 400).eval()
        x = torch.empty(1, *net.shape())
        assert x.shape == (1, 3, 32, 224, 224)
        assert net.until(x, "maxpool").shape == (1, 64, 8, 56, 56)
        assert net.until(x, "pool2").shape == (1, 256, 4, 56, 56)
        assert net.until(x, "layer4").shape == (1, 2048, 4, 7, 7)
    assert sum(p.numel() for p in net.parameters()) == 28_043_472
    assert net.first == "backbone.conv1"


def normed(state: dict[str, Tensor], x: Tensor, name: str) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(x, mean, var, weight, bias)


def by_hand(state: dict[str, Tensor], x: Tensor, stem_stride: int) -> Tensor:
    """mmaction2's ResNet3d and I3DHead, as functions."""
    x = F.conv3d(x, state["conv1.weight"], None, (stem_stride, 2, 2), (2, 3, 3))
    x = F.relu(normed(state, x, "bn1"))
    x = F.max_pool3d(x, (1, 3, 3), (stem_stride, 2, 2), (0, 1, 1))
    for layer, blocks in (("1", 3), ("2", 4), ("3", 6), ("4", 3)):
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            stride = 2 if layer != "1" and block == 0 else 1
            reach = 1 if str(block) in DEEP[layer] else 0
            y = F.conv3d(x, state[f"{at}.conv1.weight"], None, 1, (reach, 0, 0))
            y = F.relu(normed(state, y, f"{at}.bn1"))
            y = F.conv3d(y, state[f"{at}.conv2.weight"], None, (1, stride, stride), (0, 1, 1))
            y = F.relu(normed(state, y, f"{at}.bn2"))
            y = normed(state, F.conv3d(y, state[f"{at}.conv3.weight"]), f"{at}.bn3")
            if block == 0:
                x = F.conv3d(x, state[f"{at}.downsample.0.weight"], None, (1, stride, stride))
                x = normed(state, x, f"{at}.downsample.1")
            x = F.relu(x + y)
        if layer == "1":
            x = F.max_pool3d(x, (2, 1, 1), (2, 1, 1))
    return F.linear(x.mean((2, 3, 4)), state["head.weight"], state["head.bias"])


@pytest.mark.parametrize(("frames", "stem_stride"), [(16, 2), (9, 2), (4, 1)])
def test_it_answers_as_the_layers_written_out(frames: int, stem_stride: int) -> None:
    torch.manual_seed(0)
    net = build(2, 5, stem_stride=stem_stride).eval()
    x = torch.rand(1, 2, frames, 40, 40)
    state = {name.removeprefix("backbone."): value for name, value in net.state_dict().items()}
    with torch.no_grad():
        torch.testing.assert_close(net(x), by_hand(state, x, stem_stride), atol=1e-4, rtol=1e-4)


def test_too_short_clips_and_other_steps_are_refused() -> None:
    with pytest.raises(UserError, match="5 frames and more"):
        build(3, 2)(torch.zeros(1, 3, 4, 32, 32))
    with pytest.raises(UserError, match="stem_stride=3 is not 1 or 2"):
        build(3, 2, stem_stride=3)
