"""Grad-CAM, guided back-propagation and deconvnet, against closed forms and by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from storage.errors import UserError
from streams.explanation.gradients import (
    deconvolved,
    grad_cam,
    gradient_copy,
    guided_gradient,
    why_not_guided,
)
from streams.networks import build_network
from streams.networks.network import Network

SIDE = 12
RED, GREEN = (slice(1, 5), slice(2, 6)), (slice(6, 10), slice(7, 11))


def two_colours() -> Network:
    """Class 0 is red, class 1 green: a filter for each colour, and the mean over places."""
    conv = nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        conv.weight[:] = torch.tensor([[1.0, -1, 0], [-1, 1, 0]])[:, :, None, None]
        conv.bias.zero_()  # type: ignore[union-attr]
    head = nn.Linear(2, 2)
    with torch.no_grad():
        head.weight[:] = torch.tensor([[2.0, -1], [-1, 3]])
        head.bias.zero_()
    parts = {
        "conv": conv,
        "relu": nn.ReLU(inplace=True),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return gradient_copy(Network(parts, head, channels=3, size=SIDE))


def red_and_green() -> Tensor:
    x = torch.zeros(1, 3, SIDE, SIDE)
    x[0, 0, RED[0], RED[1]] = 1
    x[0, 1, GREEN[0], GREEN[1]] = 1
    return x


def test_grad_cam_lights_the_square_of_the_class_asked_for_and_no_other() -> None:
    """The closed form: the mean gradient of a filter is its weight over the places, so the map is
    ReLU(2 red - green) / n for class 0."""
    net, x = two_colours(), red_and_green()
    red, green = x[0, 0], x[0, 1]
    n = SIDE * SIDE
    torch.testing.assert_close(grad_cam(net, x, 0, "relu"), F.relu(2 * red - green) / n)
    torch.testing.assert_close(grad_cam(net, x, 1, "relu"), F.relu(3 * green - red) / n)
    assert grad_cam(net, x, 0, "relu")[GREEN].sum() == 0


def test_guided_back_propagation_leaves_out_what_speaks_against_the_class() -> None:
    """Of class 0 the green filter's gradient is negative and stops at its ReLU; so what is left
    is 2 / n times the red filter, where that answers."""
    net, x = two_colours(), red_and_green()
    expected = torch.zeros_like(x)
    expected[0, 0, RED[0], RED[1]] = 2 / (SIDE * SIDE)
    expected[0, 1, RED[0], RED[1]] = -2 / (SIDE * SIDE)
    torch.testing.assert_close(guided_gradient(net, x, 0), expected)


def small(layout: str) -> tuple[Network, Tensor]:
    torch.manual_seed(0)
    clip = layout == "clip"
    conv = nn.Conv3d if clip else nn.Conv2d
    pool = nn.MaxPool3d if clip else nn.MaxPool2d
    mean = nn.AdaptiveAvgPool3d if clip else nn.AdaptiveAvgPool2d
    parts = {
        "conv1": conv(3, 4, 3, padding=1),
        "relu1": nn.ReLU(),
        "pool1": pool(2),
        "conv2": conv(4, 5, 3, padding=1),
        "relu2": nn.ReLU(),
        "mean": mean(1),
        "flatten": nn.Flatten(),
    }
    net = Network(
        parts,
        nn.Linear(5, 3),
        channels=3,
        size=8,
        layout=layout,
        frames=4,  # type: ignore[arg-type]
    )
    shape = (1, 3, 4, 8, 8) if clip else (1, 3, 8, 8)
    return gradient_copy(net), torch.randn(shape)


class Rule(torch.autograd.Function):
    """ReLU whose gradient is guided (True) or that of deconvnet."""

    @staticmethod
    def forward(ctx, x, guided):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        ctx.guided = guided
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        passed = grad.clamp(min=0)
        return (passed * (x > 0) if ctx.guided else passed), None


def by_rule(net: Network, x: Tensor, guided: bool, until: str) -> tuple[Tensor, Tensor]:
    """The input, and what stands behind a part, with ReLUs whose gradient follows the rule."""
    x = x.clone().requires_grad_()
    y = x
    for name, part in net.backbone.named_children():
        y = Rule.apply(y, guided) if isinstance(part, nn.ReLU) else part(y)
        if name == until:
            return x, y
    return x, net.head(y)


@pytest.mark.parametrize("layout", ["stack", "clip"])
def test_gradients_follow_their_rules_in_networks_for_pictures_and_clips(layout: str) -> None:
    net, x = small(layout)
    start, logits = by_rule(net, x, True, "")
    (expected,) = torch.autograd.grad(logits[0, 1], start)
    torch.testing.assert_close(guided_gradient(net, x, 1), expected)
    start, maps = by_rule(net, x, False, "relu2")
    place = (1, 2, 3) if layout == "stack" else (1, 0, 2, 3)
    (expected,) = torch.autograd.grad(maps[(0, *place)], start)
    torch.testing.assert_close(deconvolved(net, x, "relu2", place), expected)


@pytest.mark.parametrize("layout", ["stack", "clip"])
def test_grad_cam_is_its_formula(layout: str) -> None:
    net, x = small(layout)
    maps = net.until(x, "relu2").detach().requires_grad_()
    net.classify(net.after(maps, "relu2"))[0, 2].backward()
    assert maps.grad is not None
    places = tuple(range(2, maps.ndim))
    small_map = F.relu((maps.grad.mean(places, keepdim=True) * maps).sum(1, keepdim=True))
    mode = "bilinear" if layout == "stack" else "trilinear"
    expected = F.interpolate(small_map.detach(), x.shape[2:], mode=mode)[0, 0]
    assert expected.max() > 0
    torch.testing.assert_close(grad_cam(net, x, 2, "relu2"), expected)


def test_on_a_linear_network_all_gradients_are_one() -> None:
    conv = nn.Conv2d(3, 2, 3, padding=1)
    parts = {"conv": conv, "mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    net = gradient_copy(Network(parts, nn.Linear(2, 2), channels=3, size=8))
    x = torch.randn(1, 3, 8, 8, requires_grad=True)
    (plain,) = torch.autograd.grad(net(x)[0, 0], x)
    torch.testing.assert_close(guided_gradient(net, x.detach(), 0), plain)
    (plain,) = torch.autograd.grad(net.until(x, "conv")[0, 1, 4, 4], x)
    torch.testing.assert_close(deconvolved(net, x.detach(), "conv", (1, 4, 4)), plain)


@pytest.mark.parametrize("name", ["resnet18", "bn-inception", "attention56"])
def test_a_copy_answers_as_the_network_and_its_relus_are_found(name: str) -> None:
    """Also where one ReLU serves several places, and where it worked in place."""
    torch.manual_seed(0)
    net = build_network(name, classes=3).eval()
    net.requires_grad_(False)
    own = gradient_copy(net)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(own(x), net(x))
    assert why_not_guided(own, x) == ""


def test_networks_that_the_rules_do_not_reach_are_told_apart() -> None:
    class Functional(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(torch.relu_(x.clone()))

    def net(*more: nn.Module) -> Network:
        parts = {"conv": nn.Conv2d(3, 2, 3), **{f"part{i}": m for i, m in enumerate(more)}}
        parts |= {"mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
        return gradient_copy(Network(parts, nn.Linear(2, 2), channels=3, size=8))

    x = torch.randn(1, 3, 8, 8)
    assert why_not_guided(net(nn.ReLU()), x) == ""
    assert why_not_guided(net(nn.ReLU(), Functional()), x) == "2 of its 3 ReLUs are no modules"
    assert "has no ReLU" in why_not_guided(net(nn.GELU()), x)


def test_a_part_that_is_not_there_or_no_map_is_one_line() -> None:
    net, x = two_colours(), red_and_green()
    with pytest.raises(UserError, match="no part 'layer9' here; there are conv, relu"):
        grad_cam(net, x, 0, "layer9")
    with pytest.raises(UserError, match=r"behind --at flatten stand .* that is no map"):
        grad_cam(net, x, 0, "flatten")


def test_without_captum_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(UserError, match=r"pip install 'twostream\[explain\]'"):
        guided_gradient(two_colours(), red_and_green(), 0)


def test_a_learned_network_lights_up_a_planted_square_of_the_class() -> None:
    """Two classes differ in which of two patterns stands somewhere; both pictures hold noise."""
    torch.manual_seed(1)
    rng = np.random.default_rng(0)
    side = 24

    def batch(n: int) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
        x = torch.from_numpy(rng.normal(0, 0.2, (n, 3, side, side))).float()
        labels, at = torch.arange(n) % 2, []
        stripes = torch.tensor([1.0, -1]).repeat(4)
        for i in range(n):
            y, z = int(rng.integers(0, side - 8)), int(rng.integers(0, side - 8))
            square = stripes.expand(8, 8) if labels[i] else stripes.expand(8, 8).T
            x[i, :, y : y + 8, z : z + 8] += square
            at.append((y, z))
        return x, labels, at

    parts = {
        "conv1": nn.Conv2d(3, 8, 3, padding=1),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(8, 8, 3, padding=1),
        "relu2": nn.ReLU(),
        "mean": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    net = Network(parts, nn.Linear(8, 2), channels=3, size=side, dropout=0.0)
    optim = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        x, labels, _ = batch(32)
        loss = F.cross_entropy(net(x), labels)
        optim.zero_grad()
        loss.backward()
        optim.step()
    own = gradient_copy(net)
    x, labels, at = batch(20)
    assert (own(x).argmax(1) == labels).all()
    inside, area = [], 8 * 8 / side**2
    for i, (y, z) in enumerate(at):
        cam = grad_cam(own, x[i : i + 1], int(labels[i]), "relu2")
        inside.append(float(cam[y : y + 8, z : z + 8].sum() / cam.sum()))
    assert min(inside) > 3 * area
    assert np.mean(inside) > 5 * area
