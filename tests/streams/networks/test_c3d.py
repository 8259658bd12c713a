"""C3D and the 3D-ConvNet of Quo Vadis: parameters, multiplications, shapes, what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from storage.errors import UserError
from streams.networks.c3d import build, build_3d_convnet
from streams.networks.network import Network


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def on_meta(classes: int = 101, **options: bool) -> Network:
    with torch.device("meta"):
        return build(3, classes, **options).eval()


def test_parameters_are_those_published() -> None:
    assert parameters(on_meta(101)) == 78_409_573
    assert parameters(on_meta(487)) == 79_991_015
    with torch.device("meta"):
        plain = build_3d_convnet(3, 400, batch_norm=False)
        normed = build_3d_convnet(3, 400)
    assert parameters(plain) == 79_634_576
    assert parameters(normed) == 79_656_464
    assert len(normed.norms) == 10
    assert len(plain.norms) == 0


def test_a_clip_takes_38_5_gigamac() -> None:
    net = on_meta()
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, 16, 112, 112, device="meta"))
    assert round(counter.get_total_flops() / 2e9, 1) == 38.5


def test_shapes_are_those_of_the_paper() -> None:
    net = on_meta()
    clip = torch.empty(1, 3, 16, 112, 112, device="meta")
    shapes = {name: tuple(net.until(clip, name).shape[1:]) for name in net.names}
    assert shapes["conv1a"] == (64, 16, 112, 112)
    assert shapes["pool1"] == (64, 16, 56, 56)
    assert shapes["pool2"] == (128, 8, 28, 28)
    assert shapes["pool3"] == (256, 4, 14, 14)
    assert shapes["pool4"] == (512, 2, 7, 7)
    assert shapes["pool5"] == (512, 1, 4, 4)
    assert shapes["flatten"] == (8192,)
    assert shapes["fc6"] == shapes["fc7"] == (4096,)
    assert net(clip).shape == (1, 101)


def test_the_3d_convnet_halves_time_in_its_first_pool_and_costs_half() -> None:
    with torch.device("meta"):
        net = build_3d_convnet(3, 400).eval()
        clip = torch.empty(1, 3, 16, 112, 112)
        assert net.until(clip, "pool1").shape == (1, 64, 8, 56, 56)
        assert net.until(clip, "conv5b").shape == (1, 512, 1, 7, 7)
        with FlopCounterMode(display=False) as counter:
            net(clip)
    assert counter.get_total_flops() / 2e9 < 20


def test_fc6_hands_out_what_comes_after_its_relu() -> None:
    torch.manual_seed(0)
    net = build(2, 3, size=32).eval()
    with torch.no_grad():
        clip = torch.randn(2, 2, 16, 32, 32)
        features = net.until(clip, "fc6")
        torch.testing.assert_close(net.after(features, "fc6"), net.features(clip))
    assert features.min() == 0
    assert features.std() > 0.1, "the signal is not lost on the way"


@pytest.mark.parametrize("shape", [(3, 16, 128, 128), (3, 32, 112, 112), (3, 8, 112, 112)])
def test_the_classifier_takes_its_own_size_only(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="change --size"):
        on_meta()(torch.empty(1, *shape, device="meta"))


@pytest.mark.parametrize(("frames", "size"), [(8, 112), (16, 31)])
def test_too_little_to_pool_is_refused(frames: int, size: int) -> None:
    with pytest.raises(UserError, match="16 frames and 32 pixels"):
        build(3, 4, frames=frames, size=size)


@pytest.mark.parametrize("builder", [build, build_3d_convnet])
@pytest.mark.parametrize(("frames", "size"), [(16, 32), (17, 47), (32, 48)])
def test_other_sizes_fit_when_they_are_asked_for(
    builder: Callable[..., Network], frames: int, size: int
) -> None:
    with torch.device("meta"):
        net = builder(2, 4, frames=frames, size=size).eval()
        assert net(torch.empty(1, *net.shape())).shape == (1, 4)
