"""What a score table says of its costs, beside what the layers say."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from torch import nn

from streams.networks.build import build_stream
from streams.scoring.costs import Costs


def flops_by_hand(net: nn.Module, inputs: Any) -> float:
    """Two for each weight at each place, from the shapes that hooks see."""
    counted = 0.0

    def add(layer: Any, _: object, out: torch.Tensor) -> None:
        nonlocal counted
        counted += 2 * out.numel() * layer.weight[0].numel()

    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    net(inputs)
    for hook in hooks:
        hook.remove()
    return counted


@pytest.mark.parametrize("half", [False, True])
def test_flops_and_parameters_of_a_stream(half: bool) -> None:
    net = build_stream("temporal", classes=7, length=3).eval()
    views, costs = torch.zeros(4, 2, 6, 48, 48), Costs()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        wanted = flops_by_hand(net, views)
        with costs.of(2):  # two videos of two views
            net(views)
        with costs.of(2):
            net(views)
    made = costs.summary(net, torch.device("cpu"))
    assert made["flops"] == wanted / 2
    published = 11_689_512  # torchvision's ResNet-18
    assert made["parameters"] == published - 1000 * 513 + 7 * 513 + (6 - 3) * 64 * 49
    assert made["device"].startswith(f"CPU, {torch.get_num_threads()} thread")


def test_the_first_videos_warm_up() -> None:
    costs = Costs()
    with costs.of(1):
        time.sleep(0.2)
    assert costs.seconds >= 0.2
    for videos in (3, 1):
        with costs.of(videos):
            time.sleep(0.01)
    assert costs.seconds == (costs._seconds) / 4
    assert costs._seconds < costs.seconds * 5
