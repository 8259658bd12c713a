"""First-layer filters, strongest activations, and masks of attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.explanation.first_layer import first_filters
from streams.explanation.gradients import gradient_copy, last_map
from streams.explanation.masks import attention_masks
from streams.explanation.snapshots import Snapshot
from streams.explanation.strongest import as_steps, conv_parts, seen_box, strongest_activations
from streams.inputs import RGB, FlowStack
from streams.networks import build_network
from streams.networks.network import Network


def network(conv: nn.Module, layout: str = "stack", channels: int = 3) -> Network:
    clip = layout == "clip"
    mean = nn.AdaptiveAvgPool3d(1) if clip else nn.AdaptiveAvgPool2d(1)
    parts = {"conv1": conv, "relu1": nn.ReLU(), "mean": mean, "flatten": nn.Flatten()}
    return gradient_copy(
        Network(
            parts,
            nn.Linear(conv.out_channels, 2),  # type: ignore[arg-type]
            channels=channels,
            size=16,
            layout=layout,  # type: ignore[arg-type]
            frames=4 if clip else 1,
        )
    )


def test_filters_are_taken_apart_step_by_step() -> None:
    flow = nn.Conv2d(6, 5, 3)
    with torch.no_grad():
        flow.weight[:, 4] = 7.0  # x of the third field
    filters = first_filters(network(flow, channels=6), FlowStack(length=3))
    assert filters.shape == (5, 3, 2, 3, 3)
    assert (filters[:, 2, 0] == 7).all()
    clip = nn.Conv3d(3, 4, (3, 5, 5))
    with torch.no_grad():
        clip.weight[:, 1, 2] = 9.0  # green of the last step
    filters = first_filters(network(clip, "clip"), RGB(length=4))
    assert filters.shape == (4, 3, 3, 5, 5)
    assert (filters[:, 2, 1] == 9).all()


def test_a_filter_for_blue_green_red_is_shown_as_red_green_blue() -> None:
    conv = nn.Conv2d(3, 2, 3)
    plain = first_filters(network(conv), RGB())
    assert torch.equal(first_filters(network(conv), RGB(span="caffe")), plain.flip(2))


def test_channels_that_are_no_steps_are_one_line() -> None:
    with pytest.raises(UserError, match="takes 5 channels, which are no steps of 2"):
        first_filters(network(nn.Conv2d(5, 2, 3), channels=5), FlowStack(length=2))


def snapshot(x: Tensor, name: str = "v") -> Snapshot:
    steps = x[0].transpose(0, 1) if x.ndim == 5 else x
    return Snapshot(name, 0, 0, "rgb", x, steps.numpy())


def red_at(y: int, x: int, strength: float) -> Snapshot:
    picture = torch.zeros(1, 3, 16, 16)
    picture[0, 0, y : y + 3, x : x + 3] = strength
    return snapshot(picture, f"{y} {x}")


def red_filter() -> Network:
    conv = nn.Conv2d(3, 2, 3, padding=1)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[1, 0] = 1.0  # filter 0 stays dead
        conv.bias.zero_()  # type: ignore[union-attr]
    return network(conv)


def test_the_strongest_activations_are_where_the_filter_fits_best() -> None:
    net = red_filter()
    shown = [red_at(2, 9, 0.5), red_at(10, 4, 1.0), red_at(6, 6, 0.25)]
    (found,) = strongest_activations(net, shown, ["relu1"], filters=4, best=2)["relu1"]
    assert [one.filter for one in found] == [1, 1]
    assert [one.snapshot for one in found] == [1, 0]
    assert [one.activation for one in found] == pytest.approx([9.0, 4.5])
    assert [one.place for one in found] == [(11, 5), (3, 10)]
    for one, (top, left) in zip(found, [(10, 4), (2, 9)], strict=True):
        assert one.box == (top, left, top + 3, left + 3)
        expected = np.zeros((1, 3, 16, 16))
        expected[0, 0, top : top + 3, left : left + 3] = 1
        np.testing.assert_allclose(one.picture, expected)


def test_in_a_clip_the_moment_is_found_too() -> None:
    conv = nn.Conv3d(3, 1, (1, 3, 3), padding=(0, 1, 1))
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 2] = 1.0
        conv.bias.zero_()  # type: ignore[union-attr]
    x = torch.zeros(1, 3, 4, 16, 16)
    x[0, 2, 2, 5:8, 1:4] = 1
    net = network(conv, "clip")
    ((one,),) = strongest_activations(net, [snapshot(x)], ["relu1"], best=1)["relu1"]
    assert one.place == (2, 6, 2)
    assert np.abs(one.picture).max((1, 2, 3)).tolist() == [0, 0, 1, 0]


def test_filters_that_never_answer_are_left_out() -> None:
    net = red_filter()
    dark = [snapshot(torch.zeros(1, 3, 16, 16))]
    assert strongest_activations(net, dark, ["relu1"]) == {"relu1": []}
    with pytest.raises(UserError, match="behind --parts flatten stand"):
        strongest_activations(net, dark, ["flatten"])


def test_a_box_stays_in_the_picture_and_is_square() -> None:
    steps = np.zeros((1, 3, 20, 30), np.float32)
    steps[0, 0, 0:2, 24:30] = 1
    assert seen_box(steps) == (0, 24, 6, 30)
    assert seen_box(np.zeros((1, 3, 20, 30), np.float32)) == (0, 0, 20, 30)


def test_steps_of_a_stack_and_of_a_clip_come_back_in_order() -> None:
    x = torch.arange(2 * 3 * 4.0).view(1, 6, 2, 2)
    stack = Snapshot("v", 0, 0, "flow", x, np.zeros((3, 2, 2, 2), np.float32))
    np.testing.assert_array_equal(as_steps(x, stack), x[0].view(3, 2, 2, 2))
    clip = x.view(1, 3, 2, 2, 2).transpose(1, 2)  # (1, c = 2, T = 3, 2, 2)
    np.testing.assert_array_equal(as_steps(clip, stack), x[0].view(3, 2, 2, 2))


def test_parts_to_draw_are_spread_over_the_depth() -> None:
    net = gradient_copy(build_network("resnet18", classes=3))
    x = torch.zeros(1, 3, 64, 64)
    assert conv_parts(net, x) == ["relu", "layer1", "layer3", "layer4"]
    assert conv_parts(red_filter(), torch.zeros(1, 3, 16, 16)) == ["relu1"]
    small = torch.zeros(1, 3, 32, 32)
    assert conv_parts(net, small) == ["relu", "layer1", "layer2", "layer3"]  # layer4 has one place
    assert last_map(net, x) == "layer3"  # 4 x 4; layer4 has 2 x 2
    assert last_map(net, torch.zeros(1, 3, 128, 128)) == "layer4"


def test_masks_are_the_mean_over_channels_of_what_the_module_computes() -> None:
    torch.manual_seed(0)
    net = gradient_copy(build_network("attention56", classes=3))
    x = torch.randn(1, 3, 64, 64)
    masks = attention_masks(net, x)
    assert list(masks) == ["AttentionA_1", "AttentionB_1", "AttentionC_1"]
    module = net.backbone.AttentionB_1
    before = net.until(x, "pre_res_2")
    expected = module.mask(module.first(before))[0].mean(0)  # type: ignore[operator]
    torch.testing.assert_close(masks["AttentionB_1"], expected)
    assert all(0 <= float(m.min()) <= float(m.max()) <= 1 for m in masks.values())
    assert attention_masks(red_filter(), torch.zeros(1, 3, 16, 16)) == {}
