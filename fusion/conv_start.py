"""Where a fused network starts, before any training: scales from data, filters from classifiers.

The towers' channels mean nothing to each other, so adding maps channel by channel starts as noise
on top of the spatial tower. After the last stage a linear classifier follows, and there the
temporal map can be turned so that the sum means what the sum of both streams' scores means:
with classifiers S and T, spatial + S^+ T temporal, read by S, is S spatial + T temporal.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fusion.conv_net import STAGES, ConvFusionNet, stem
from fusion.joins import ConcatJoin, ConvJoin, Join

Inputs = tuple[Tensor, Tensor]


@torch.no_grad()
def set_scales(net: ConvFusionNet, batches: Sequence[Inputs]) -> dict[str, float]:
    """Give each join the ratio of both maps' root mean squares over some batches, as they reach
    it: what a join gives is looked at, by the next one, only after its own scale is set."""
    training = net.training
    net.eval()
    scales = {}
    for stage in net.stages:
        join: Join = net.joins[stage]  # type: ignore[assignment]
        sums = torch.zeros(2, dtype=torch.float64)
        for frames, flow in batches:
            x, y = maps_before(net, stage, frames.flatten(0, 1), flow.flatten(0, 1))
            sums += torch.stack([m.double().square().mean() for m in (x, join.project(y))])
        a, b = sums.tolist()
        scales[stage] = (a / b) ** 0.5 if a > 0 and b > 0 else 1.0
        join.scale.fill_(scales[stage])
    net.train(training)
    return scales


def maps_before(net: ConvFusionNet, join: str, frames: Tensor, flow: Tensor) -> Inputs:
    """The two maps (N, C, h, w) that the join after a stage is given."""
    spatial, temporal = net.tower("spatial").backbone, net.tower("temporal").backbone
    x, y = stem(spatial, frames), stem(temporal, flow)
    for stage in STAGES[: STAGES.index(join) + 1]:
        x, y = getattr(spatial, stage)(x), getattr(temporal, stage)(y)
        if stage in net.joins and stage != join:
            x = net.joins[stage](x, y)
    return x, y


@torch.no_grad()
def align(net: ConvFusionNet, spatial: nn.Linear, temporal: nn.Linear) -> None:
    """Start the classifier (and the filters of `conv`) at the sum of both streams' scores, where
    the fused map goes straight to the classifier."""
    last = dict(net.joins.items()).get(STAGES[-1])
    if isinstance(last, ConcatJoin):
        net.head.weight[:, spatial.in_features :] = temporal.weight / last.scale
    elif isinstance(last, ConvJoin):
        # A common shift of all classes' scores changes no decision, and a classifier's rows
        # nearly cancel in that direction: its inverse there would only blow noise up.
        inverse = torch.linalg.pinv(spatial.weight.double(), rtol=1e-2)
        turned = (inverse @ temporal.weight.double()).float() / last.scale
        if isinstance(last.project, nn.Conv2d):  # of towers of two widths
            last.project.weight.copy_(turned[:, :, None, None])
        else:
            last.turn(turned)
        net.head.bias.copy_(spatial.bias + temporal.bias)
