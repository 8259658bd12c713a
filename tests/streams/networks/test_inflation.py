"""Inflation and deflation: the boring-video fixed point, layer by layer, and the way back."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.clip_layers import ClipConv3d
from streams.networks.inflation import deflate, inflate
from streams.networks.network import Network
from streams.networks.padding import SameConv2d, SameMaxPool2d
from streams.networks.torchvision_compat import models


def randomise(net: nn.Module) -> nn.Module:
    """Batch norms that do something, so that a wrong one is seen."""
    torch.manual_seed(1)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            assert layer.running_var is not None
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.5, 0.5)
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return net.eval()


def classifier(name: str) -> nn.Module:
    torch.manual_seed(0)
    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of slow initialisation
        net: nn.Module = models.get_model(name, weights=None, num_classes=7, **options)
    return randomise(net)


def maps(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What every layer without layers of its own hands out, by its name."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        # An in-place ReLU behind a layer would change what is kept.
        return lambda _, given, out: found.__setitem__(name, out.clone())

    hooks = [
        layer.register_forward_hook(keep(name))
        for name, layer in net.named_modules()
        if not list(layer.children())
    ]
    with torch.no_grad():
        found["the answer"] = net(x)
    for hook in hooks:
        hook.remove()
    return found


def relative(found: Tensor, wanted: Tensor) -> float:
    """The largest error, against the largest number that should be there."""
    if found.ndim == 5:
        wanted = wanted.unsqueeze(2)
    return float((found - wanted).abs().max() / wanted.abs().max())


def boring(picture: Tensor, frames: int) -> Tensor:
    return picture.unsqueeze(2).expand(-1, -1, frames, -1, -1)


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_a_boring_video_is_answered_as_the_picture_layer_by_layer(name: str) -> None:
    net = classifier(name)
    picture = torch.randn(2, 3, 64, 64)
    flat, clip = maps(net, picture), maps(inflate(net), boring(picture, 16))
    assert list(flat) == list(clip)
    assert len(flat) > 50
    errors = {layer: relative(clip[layer], flat[layer]) for layer in flat}
    assert max(errors.values()) <= 1e-5, errors


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_with_zeros_before_and_after_the_clip_the_fixed_point_never_holds(name: str) -> None:
    net = classifier(name)
    picture = torch.randn(2, 3, 64, 64)
    flat = maps(net, picture)
    clip = maps(inflate(net, padding="zero"), boring(picture, 16))
    first = next(iter(flat))
    ends, middle = clip[first][:, :, [0, -1]], clip[first][:, :, 2:-2]
    assert relative(ends[:, :, :1], flat[first]) > 0.1
    assert relative(ends[:, :, 1:], flat[first]) > 0.1
    assert relative(middle, flat[first]) <= 1e-5, "a layer that sees no end is right"
    assert relative(clip["the answer"], flat["the answer"]) > 1e-2


@pytest.mark.parametrize("frames", [1, 5])
@pytest.mark.parametrize(
    "name",
    [
        "squeezenet1_1",
        "mobilenet_v3_small",
        "mnasnet0_5",
        pytest.param("mobilenet_v2", marks=pytest.mark.slow),
        pytest.param("densenet121", marks=pytest.mark.slow),
        pytest.param("alexnet", marks=pytest.mark.slow),
        pytest.param("vgg11_bn", marks=pytest.mark.slow),
    ],
)
def test_other_networks_of_torchvision_inflate_too(name: str, frames: int) -> None:
    net = classifier(name)
    picture = torch.randn(1, 3, 64, 64)
    clip = inflate(net)
    with torch.no_grad():
        wanted = net(picture)
        assert relative(clip(boring(picture, frames)), wanted) <= 1e-5
        assert relative(deflate(clip)(picture), wanted) <= 1e-5
    assert list(clip.state_dict()) == list(net.state_dict())


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_deflating_an_inflated_network_gives_it_back(name: str) -> None:
    net = classifier(name)
    back = deflate(inflate(net))
    assert [(n, type(m)) for n, m in back.named_modules()] == [
        (n, type(m)) for n, m in net.named_modules()
    ]
    for given_name, value in net.state_dict().items():
        torch.testing.assert_close(back.state_dict()[given_name], value, atol=1e-7, rtol=1e-6)
    picture = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(back(picture), net(picture), atol=1e-5, rtol=1e-5)


def test_the_network_that_is_inflated_stays_as_it_was() -> None:
    net = classifier("resnet18")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    clip = inflate(net)
    with torch.no_grad():
        for tensor in [*clip.parameters(), *clip.buffers()]:
            tensor.zero_()
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert isinstance(net.get_submodule("conv1"), nn.Conv2d)


def test_sizes_and_steps_in_time_may_be_given_by_layer_and_by_pattern() -> None:
    net = inflate(
        classifier("resnet18"),
        kernels={"*": 1, "layer?.0.conv1": 3},
        strides={"conv1": 1, "maxpool": 1, "layer4.*": 1},
    )
    assert net.get_submodule("conv1").weight.shape == (64, 3, 1, 7, 7)
    assert net.get_submodule("layer1.0.conv1").weight.shape == (64, 64, 3, 3, 3)
    assert net.get_submodule("layer1.0.conv2").weight.shape == (64, 64, 1, 3, 3)
    assert maps(net, torch.randn(1, 3, 8, 64, 64))["layer4.1.bn2"].shape == (1, 512, 2, 2, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": {"conv9": 3}}, "no layer is named 'conv9'"),
        ({"strides": {"bn1": 2}}, "no layer is named 'bn1'"),
        ({"kernels": {"conv1": 0}}, "conv1: 0 in time is too little"),
    ],
)
def test_a_layer_that_is_not_there_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        inflate(classifier("resnet18"), **options)


def test_what_cannot_be_inflated_is_named() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Upsample(scale_factor=2)))
    with pytest.raises(UserError, match=r"cannot inflate Upsample at 1\.0"):
        inflate(net)
    with pytest.raises(UserError, match="cannot inflate LayerNorm2d"):
        inflate(classifier("convnext_tiny"))
    with pytest.raises(UserError, match="cannot inflate ConvTranspose2d at the top"):
        inflate(nn.ConvTranspose2d(3, 4, 3))
    with pytest.raises(UserError, match="padding mode 'reflect'"):
        inflate(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"))


def test_a_layer_used_twice_stays_one_layer() -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    clip = inflate(nn.Sequential(conv, nn.ReLU(), conv))
    assert isinstance(clip, nn.Sequential)
    assert clip[0] is clip[2]
    assert isinstance(clip[0], ClipConv3d)


def test_frozen_layers_stay_frozen_and_training_goes_on() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)).train()
    net[0].requires_grad_(False)
    net[1].requires_grad_(False).eval()
    clip = inflate(net)
    assert isinstance(clip, nn.Sequential)
    clip(torch.randn(2, 3, 4, 8, 8)).sum().backward()
    assert [p.grad is None for p in clip.parameters()] == [True] * 4 + [False] * 2
    assert [layer.training for layer in clip] == [True, False, True]


def test_a_network_of_ours_changes_its_layout() -> None:
    parts = {"conv": nn.Conv2d(3, 4, 3), "pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten()}
    net = Network(parts, nn.Linear(4, 2), channels=3, size=16).eval()
    clip = inflate(net, frames=5)
    assert isinstance(clip, Network)
    assert clip.shape() == (3, 5, 16, 16)
    assert clip.first == net.first
    picture = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert relative(clip(boring(picture, 5)), net(picture)) <= 1e-5
    back = deflate(clip)
    assert isinstance(back, Network)
    assert back.shape() == (3, 16, 16)


SIZES = st.tuples(st.integers(1, 5), st.integers(1, 5))
STEPS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def layers(draw: st.DrawFn) -> nn.Module:
    """A convolution or a pool with any kernel, stride, padding, dilation that torch takes."""
    kernel, stride = draw(SIZES), draw(STEPS)
    torch.manual_seed(draw(st.integers(0, 1000)))
    kind = draw(st.sampled_from(["conv", "same conv", "max", "same max", "avg"]))
    half = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
    if kind == "conv":
        odd = all(k % 2 for k in kernel) and stride == (1, 1)
        choices: list[Any] = [half, "valid", *(["same"] if odd else [])]
        padding = draw(st.sampled_from(choices))
        groups = draw(st.sampled_from([1, 2]))
        dilation = draw(STEPS)
        return nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups, draw(st.booleans()))
    if kind == "same conv":
        return SameConv2d(2, 4, kernel, stride, bias=draw(st.booleans()))
    if kind == "same max":
        return SameMaxPool2d(kernel, stride)
    ceil_mode = draw(st.booleans())
    if kind == "max":
        return nn.MaxPool2d(kernel, stride, half, draw(STEPS), ceil_mode=ceil_mode)
    divisor = draw(st.sampled_from([None, 7]))
    return nn.AvgPool2d(kernel, stride, half, ceil_mode, draw(st.booleans()), divisor)


@settings(max_examples=80)
@given(
    layer=layers(),
    frames=st.integers(1, 9),
    height=st.integers(13, 20),
    width=st.integers(13, 20),
    depth=st.none() | st.integers(1, 6),
    step=st.none() | st.integers(1, 4),
)
def test_the_fixed_point_and_the_way_back_hold_for_every_layer(
    layer: nn.Module, frames: int, height: int, width: int, depth: int | None, step: int | None
) -> None:
    clip_layer = inflate(
        layer,
        kernels=None if depth is None else {"": depth},
        strides=None if step is None else {"": step},
    )
    picture = torch.randn(2, 2, height, width)
    with torch.no_grad():
        wanted = layer(picture)
        found = clip_layer(boring(picture, frames))
        stride = layer.stride if isinstance(layer.stride, tuple) else (layer.stride,) * 2
        steps = -(-frames // (step or min(stride)))
        assert found.shape == (*wanted.shape[:2], steps, *wanted.shape[2:])
        torch.testing.assert_close(
            found, wanted.unsqueeze(2).expand_as(found), atol=1e-5, rtol=1e-5
        )
        back = deflate(clip_layer)
        assert type(back) is type(layer)
        torch.testing.assert_close(back(picture), wanted, atol=1e-5, rtol=1e-5)


@settings(max_examples=40)
@given(
    frames=st.integers(1, 12),
    kernel=st.sampled_from([1, 3, 5, 7]),
    seed=st.integers(0, 1000),
)
def test_a_moving_clip_is_padded_in_time_as_in_space(frames: int, kernel: int, seed: int) -> None:
    """Against torch's own padding by replication, on clips whose frames differ."""
    torch.manual_seed(seed)
    layer = nn.Conv2d(2, 3, kernel, padding=kernel // 2)
    clip = torch.randn(1, 2, frames, 8, 8)
    half = kernel // 2
    weight = layer.weight.unsqueeze(2).expand(-1, -1, kernel, -1, -1) / kernel
    padded = nn.functional.pad(clip, (0, 0, 0, 0, half, half), mode="replicate")
    wanted = nn.functional.conv3d(padded, weight, layer.bias, padding=(0, half, half))
    torch.testing.assert_close(inflate(layer)(clip), wanted, atol=1e-5, rtol=1e-5)
    zeros = nn.functional.conv3d(clip, weight, layer.bias, padding=half)
    torch.testing.assert_close(inflate(layer, padding="zero")(clip), zeros, atol=1e-5, rtol=1e-5)


@settings(max_examples=40)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)),
    pool=st.sampled_from([nn.MaxPool3d, nn.AvgPool3d, nn.Conv3d]),
)
def test_torchs_own_layers_for_clips_deflate_to_what_they_see_in_a_boring_video(
    kernel: tuple[int, int, int], stride: tuple[int, int, int], pool: type[nn.Module]
) -> None:
    torch.manual_seed(0)
    padding = (0, kernel[1] // 2, kernel[2] // 2)
    layer = (
        nn.Conv3d(2, 3, kernel, stride, padding)
        if pool is nn.Conv3d
        else pool(kernel, stride, padding)
    )
    picture = torch.randn(2, 2, 9, 9)
    with torch.no_grad():
        found = deflate(layer)(picture)
        wanted = layer(boring(picture, 6))
    torch.testing.assert_close(found.unsqueeze(2).expand_as(wanted), wanted, atol=1e-5, rtol=1e-5)
