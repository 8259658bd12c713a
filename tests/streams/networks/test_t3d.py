"""T3D and DenseNet3D: parameters, temporal transitions, and the DenseNet of torchvision in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from streams.networks.inflation import deflate
from streams.networks.network import Network
from streams.networks.t3d import TemporalTransition, build, build_densenet3d121
from streams.networks.torchvision_compat import models


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_densenet3d_has_the_published_parameters_with_400_classes() -> None:
    with torch.device("meta"):
        net = build_densenet3d121(3, 400)
        flat = models.densenet121(weights=None, num_classes=400)
    assert parameters(net) == 11_658_896
    cubes = 58 * 2 * 128 * 32 * 9 + 2 * 3 * 64 * 49
    assert parameters(net) == parameters(flat) + cubes


def test_densenet3d_without_time_is_torchvisions_densenet() -> None:
    torch.manual_seed(0)
    net = build_densenet3d121(3, 5)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm3d) and layer.running_mean is not None:
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    flat = deflate(net.eval())
    assert isinstance(flat, Network)
    theirs = models.densenet121(weights=None, num_classes=5).eval()
    theirs.features.load_state_dict(flat.backbone.state_dict())
    theirs.classifier.load_state_dict(flat.head.state_dict())
    picture = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(flat(picture), theirs(picture), atol=1e-5, rtol=1e-4)


def test_temporal_transitions_see_1_3_and_4_steps_with_128_filters_each() -> None:
    with torch.device("meta"):
        net = build(3, 400)
        layers = [m for m in net.modules() if isinstance(m, TemporalTransition)]
        assert len(layers) == 3
        for layer, width in zip(layers, (256, 768, 1152), strict=True):
            shapes = [
                tuple(conv.weight.shape) for conv in layer.modules() if isinstance(conv, nn.Conv3d)
            ]
            assert shapes == [
                (128, width, 1, 1, 1),
                (128, width, 3, 3, 3),
                (128, width, 4, 3, 3),
            ]
            maps = torch.empty(1, width, 5, 7, 7)
            assert layer(maps).shape == (1, 384, 5, 7, 7)
        assert net.head.in_features == 896


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_a_depth_sees_as_many_steps_and_no_more(depth: int) -> None:
    torch.manual_seed(0)
    layer = TemporalTransition(2).eval().get_submodule(f"depth{depth}")
    maps = torch.rand(1, 2, 12, 3, 3) + 1
    other = maps.clone()
    other[:, :, 6] += 1
    with torch.no_grad():
        off = (layer(other) - layer(maps)).abs().amax(dim=(0, 1, 3, 4))
    assert int((off > 1e-6).sum()) == depth


@pytest.mark.parametrize("builder", [build, build_densenet3d121])
@pytest.mark.parametrize(("frames", "size"), [(1, 32), (7, 45)])
def test_clips_of_any_length_and_size_pass(
    builder: Callable[..., Network], frames: int, size: int
) -> None:
    with torch.device("meta"):
        net = builder(2, 4).eval()
        assert net(torch.empty(1, 2, frames, size, size)).shape == (1, 4)


def test_32_frames_become_one_step_of_7_by_7() -> None:
    with torch.device("meta"):
        last = {stage.name: stage for stage in build(3, 400).stages()}["denseblock4"]
    assert (last.width, last.size, last.stride) == (896, (1, 7, 7), 32)
