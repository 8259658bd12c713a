"""torchvision's networks for clips, taken apart: the same numbers as torchvision's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from storage.errors import UserError
from streams.networks.network import Network
from streams.networks.torchvision_compat import models
from streams.networks.video_resnets import (
    build_mc3_18,
    build_r2plus1d_18,
    build_r3d18,
    build_s3d,
    from_torchvision,
)

Builder = Callable[..., Network]
BUILDERS: dict[str, Builder] = {
    "r3d_18": build_r3d18,
    "mc3_18": build_mc3_18,
    "r2plus1d_18": build_r2plus1d_18,
    "s3d": build_s3d,
}
WEIGHTS = {
    "r3d_18": models.video.R3D_18_Weights,
    "mc3_18": models.video.MC3_18_Weights,
    "r2plus1d_18": models.video.R2Plus1D_18_Weights,
    "s3d": models.video.S3D_Weights,
}


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("name", BUILDERS)
def test_with_torchvisions_state_the_answers_are_torchvisions(name: str) -> None:
    torch.manual_seed(0)
    theirs = models.get_model(name, weights=None, num_classes=7).eval()
    ours = BUILDERS[name](3, 7).eval()
    ours.load_state_dict(from_torchvision(name, theirs.state_dict()))
    size = 32
    if name == "s3d":  # its last pool is as large as the map of 224 pixels
        size, theirs.avgpool = 64, nn.AvgPool3d((2, 2, 2), 1)
    clip = torch.randn(1, 3, 16, size, size)
    with torch.no_grad():
        torch.testing.assert_close(ours(clip), theirs(clip), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_s3d_is_torchvisions_at_its_own_size() -> None:
    torch.manual_seed(0)
    theirs = models.get_model("s3d", weights=None, num_classes=7).eval()
    ours = build_s3d(3, 7).eval()
    ours.load_state_dict(from_torchvision("s3d", theirs.state_dict()))
    clip = torch.randn(1, 3, 24, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours(clip), theirs(clip), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_parameters_and_multiplications_are_those_that_torchvision_states(name: str) -> None:
    meta = WEIGHTS[name].DEFAULT.meta
    with torch.device("meta"):
        net = BUILDERS[name](3, 400).eval()
        assert parameters(net) == meta["num_params"]
        size = 224 if name == "s3d" else 112
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(1, 3, 16, size, size))
    assert counter.get_total_flops() / 2e9 == pytest.approx(meta["_ops"], rel=1e-3)


def test_5_million_parameters_became_33_million() -> None:
    with torch.device("meta"):
        assert parameters(build_r3d18(3, 101)) == 33_218_085


@pytest.mark.parametrize("name", BUILDERS)
def test_flow_goes_in_by_its_own_first_layer(name: str) -> None:
    with torch.device("meta"):
        net = BUILDERS[name](2, 4).eval()
        assert net(torch.empty(1, 2, 5, 32, 32)).shape == (1, 4)
        rgb = BUILDERS[name](3, 4).get_submodule(net.first)
    first = net.get_submodule(net.first)
    assert isinstance(first, nn.Conv3d)
    assert first.in_channels == 2
    assert isinstance(rgb, nn.Conv3d)
    assert (first.kernel_size, first.stride, first.padding) == (
        rgb.kernel_size,
        rgb.stride,
        rgb.padding,
    )


def test_norms_of_clips_are_found() -> None:
    with torch.device("meta"):
        assert len(build_r3d18(3, 4).norms) == 20


@pytest.mark.parametrize("name", BUILDERS)
def test_stages_have_the_strides_of_the_papers(name: str) -> None:
    with torch.device("meta"):
        stages = {stage.name: stage for stage in BUILDERS[name](3, 4).stages()}
    last = stages["Mixed_5c" if name == "s3d" else "layer4"]
    assert (last.width, last.stride) == ((1024, 32) if name == "s3d" else (512, 16))


def test_names_of_no_network_are_refused() -> None:
    with pytest.raises(UserError, match="'mvit' is not one of r3d_18, mc3_18, r2plus1d_18, s3d"):
        from_torchvision("mvit", {})


def test_a_clip_of_which_a_pool_leaves_nothing_is_refused() -> None:
    with torch.device("meta"):
        net = build_s3d(3, 4).eval()
        with pytest.raises(UserError, match="clips of 5 frames and more, not 4"):
            net(torch.empty(1, 3, 4, 64, 64))
        with pytest.raises(UserError, match="32 pixels and more, not 64 x 31"):
            net(torch.empty(1, 3, 5, 64, 31))
