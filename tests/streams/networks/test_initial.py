"""Weights for RGB become weights for other channels, in two and in three dimensions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from storage.errors import UserError
from streams.networks.initial import adapted, cross_modality, randomise, widened


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.Conv3d])
@pytest.mark.parametrize(("rule", "factor"), [("rescaled", 1.0), ("mean", 20 / 3)])
def test_a_stack_of_one_grey_picture_excites_as_the_rule_says(kind, rule, factor) -> None:
    torch.manual_seed(0)
    rgb = kind(3, 8, 3, padding=1)
    flow = widened(rgb, 20, rule)
    assert type(flow) is kind
    assert flow.in_channels == 20
    sides = (6,) * (rgb.weight.ndim - 2)
    grey = torch.rand(1, 1, *sides)
    with torch.no_grad():
        bias = rgb.bias.view(1, -1, *(1,) * len(sides))
        wanted = (rgb(grey.expand(-1, 3, *sides)) - bias) * factor
        torch.testing.assert_close(flow(grey.expand(-1, 20, *sides)) - bias, wanted)


def test_mean_is_tsns_and_rescaled_keeps_the_range() -> None:
    weight = torch.randn(4, 3, 7, 7)
    torch.testing.assert_close(cross_modality(weight, 10).sum(1), weight.sum(1))
    mean = cross_modality(weight, 10, "mean")
    for channel in range(10):
        assert torch.equal(mean[:, channel], weight.mean(dim=1))


def test_without_a_rule_channels_start_apart_from_each_other() -> None:
    wide = widened(nn.Conv2d(3, 8, 3), 4, None)
    assert not torch.allclose(wide.weight[:, 0], wide.weight[:, 1])


def test_a_state_dict_is_adapted_at_its_first_layer_only() -> None:
    state = {"backbone.conv1.weight": torch.rand(4, 3, 3, 3), "head.bias": torch.rand(2)}
    new = adapted(state, "backbone.conv1", 20)
    assert new["backbone.conv1.weight"].shape == (4, 20, 3, 3)
    assert new["head.bias"] is state["head.bias"]
    assert adapted(state, "backbone.conv1", 3) == state


def test_other_layers_are_refused() -> None:
    with pytest.raises(UserError, match="not that of a 2-D or 3-D"):
        cross_modality(torch.rand(4, 3), 10)
    with pytest.raises(UserError, match="ungrouped"):
        widened(nn.Conv2d(4, 4, 3, groups=4), 20)
    with pytest.raises(UserError, match=r"have no conv1\.weight"):
        adapted({}, "conv1", 20)


def test_a_signal_keeps_its_spread_through_many_random_layers() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(*(nn.Sequential(nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU()) for _ in range(12)))
    randomise(net)
    x = torch.randn(2, 64, 16, 16)
    with torch.no_grad():
        assert 0.2 < net(x).std() / x.std() < 5
