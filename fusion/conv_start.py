"""Where a fused network starts, before any training: scales from data, filters from classifiers.

The towers' channels mean nothing to each other, so adding maps channel by channel starts as noise
on top of the spatial tower. After the last stage a linear classifier follows, and there the
temporal map can be turned so that the sum means what the sum of both streams' scores means:
with classifiers S and T, spatial + S^+ T temporal, read by S, is S spatial + T temporal.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from fusion.conv_net import STAGES, ConvFusionNet, stem
from fusion.joins import ConcatJoin, ConvJoin, Join

Inputs = tuple[Tensor, Tensor]


@torch.no_grad()
def set_scales(net: ConvFusionNet, batches: Iterable[Inputs]) -> dict[str, float]:
    """Give each join the ratio of both maps' root mean squares over some batches."""
    sums = {stage: torch.zeros(2, dtype=torch.float64) for stage in net.stages}
    training = net.training
    net.eval()
    spatial, temporal = net.tower("spatial").backbone, net.tower("temporal").backbone
    for frames, flow in batches:
        x, y = stem(spatial, frames.flatten(0, 1)), stem(temporal, flow.flatten(0, 1))
        for stage in STAGES[: STAGES.index(net.stages[-1]) + 1]:
            x, y = getattr(spatial, stage)(x), getattr(temporal, stage)(y)
            if stage in net.joins:
                means = [float(m.double().square().mean()) for m in (x, y)]
                sums[stage] += torch.tensor(means, dtype=torch.float64)
                x = net.joins[stage](x, y)
    net.train(training)
    scales = {}
    for stage, (a, b) in sums.items():
        ratio = float((a / b).sqrt()) if a > 0 and b > 0 else 1.0
        join: Join = net.joins[stage]  # type: ignore[assignment]
        join.scale.fill_(ratio)
        scales[stage] = ratio
    return scales


@torch.no_grad()
def align(net: ConvFusionNet, spatial: nn.Linear, temporal: nn.Linear) -> None:
    """Start the classifier (and the filters of `conv`) at the sum of both streams' scores, where
    the fused map goes straight to the classifier."""
    last = dict(net.joins.items()).get(STAGES[-1])
    if isinstance(last, ConcatJoin):
        net.head.weight[:, spatial.in_features :] = temporal.weight / last.scale
    elif isinstance(last, ConvJoin) and spatial.in_features == temporal.in_features:
        # A common shift of all classes' scores changes no decision, and a classifier's rows
        # nearly cancel in that direction: its inverse there would only blow noise up.
        inverse = torch.linalg.pinv(spatial.weight.double(), rtol=1e-2)
        last.turn((inverse @ temporal.weight.double()).float() / last.scale)
        net.head.bias.copy_(spatial.bias + temporal.bias)
