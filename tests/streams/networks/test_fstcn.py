"""FstCN: the factorised kernel and the layer table."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from storage.errors import UserError
from streams.networks.fstcn import (
    Permutation,
    TwoPaths,
    WithDifferences,
    build,
    spatial_conv,
    temporal_conv,
)


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_kernel_of_rank_one_equals_its_space_then_its_time(kernel: int) -> None:
    torch.manual_seed(0)
    space, time = spatial_conv(1, 1, 7), temporal_conv(1, 1, kernel)
    for conv in (space, time):
        nn.init.zeros_(conv.bias)
    whole = time.weight * space.weight
    assert whole.shape == (1, 1, kernel, 7, 7)
    clip = torch.randn(2, 1, 16, 20, 20)
    with torch.no_grad():
        factorised = time(space(clip))
        full = F.conv3d(clip, whole, padding=(kernel // 2, 3, 3))
    assert (factorised - full).abs().max() < 1e-5 * full.abs().max()
    numbers = kernel + 49
    assert space.weight.numel() + time.weight.numel() == numbers < whole.numel()


def test_shapes_are_those_of_the_layer_table() -> None:
    with torch.device("meta"):
        net = build(3, 101).eval()
        clip = torch.empty(1, 3, 16, 204, 204)
        shapes = {name: tuple(net.until(clip, name).shape[1:]) for name in net.names}
        assert net(clip).shape == (1, 101)
    assert shapes["SCL1"] == (96, 32, 50, 50)
    assert shapes["SCL2"] == (256, 32, 12, 12)
    assert shapes["SCL3"] == shapes["SCL4"] == (512, 32, 12, 12)
    assert shapes["paths"] == (4096,)
    assert shapes["fc"] == (2048,)
    paths = net.get_submodule("backbone.paths")
    assert isinstance(paths, TwoPaths)
    widths = [
        (layer.in_features, layer.out_features)
        for layer in paths.modules()
        if isinstance(layer, nn.Linear)
    ]
    assert widths == [(2048, 4096), (4096, 2048), (8192, 4096), (4096, 2048)]
    kernels = [path[0].kernel_size for path in paths.tcl.children()]  # type: ignore[index]
    assert kernels == [(3, 1, 1), (5, 1, 1)]


def test_differences_follow_the_frames() -> None:
    clip = torch.tensor([1.0, 4.0, 2.0, 2.0]).reshape(1, 1, 4, 1, 1)
    assert WithDifferences(1)(clip).flatten().tolist() == [1, 4, 2, 2, 3, 2, 0, 0]
    assert WithDifferences(2)(clip).flatten().tolist() == [1, 4, 2, 2, 1, 2, 2, 2]


def test_a_still_clip_has_no_motion_and_motion_is_seen() -> None:
    """Without biases the temporal path says nothing of a clip that stands still."""
    torch.manual_seed(0)
    net = build(3, 4, size=64).eval()
    for layer in net.modules():
        if isinstance(layer, nn.Conv3d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    still = torch.randn(1, 3, 1, 64, 64).expand(-1, -1, 16, -1, -1)
    with torch.no_grad():
        assert net.until(still, "paths")[:, 2048:].abs().max() == 0
        moving = torch.stack([still[:, :, 0].roll(t, -1) for t in range(16)], dim=2)
        assert net.until(moving, "paths")[:, 2048:].abs().max() > 0


def test_the_permutation_starts_as_none_and_can_be_any() -> None:
    layer = Permutation(4)
    maps = torch.randn(2, 4, 3, 2, 2)
    torch.testing.assert_close(layer(maps), maps)
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        layer.weight.copy_(torch.eye(4)[order])
        torch.testing.assert_close(layer(maps), maps[:, order])


@pytest.mark.parametrize(("frames", "size"), [(16, 64), (5, 96), (2, 53)])
def test_other_sizes_fit_when_they_are_asked_for(frames: int, size: int) -> None:
    with torch.device("meta"):
        net = build(2, 4, frames=frames, size=size).eval()
        assert net(torch.empty(2, *net.shape())).shape == (2, 4)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="53 pixels at least, not 16 at 40"):
        build(3, 4, size=40)
    with pytest.raises(UserError, match="distance=16: such differences do not fit"):
        build(3, 4, distance=16)
    with torch.device("meta"), pytest.raises(UserError, match="takes inputs of"):
        build(3, 4, size=64)(torch.empty(1, 3, 16, 72, 72))
