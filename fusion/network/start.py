"""Where a fused network starts, before any training: scales from data, filters from classifiers.

The towers' channels mean nothing to each other, so adding maps channel by channel starts as noise
on top of the spatial tower. After the last stage a linear classifier follows, and there the
temporal map can be turned so that the sum means what the sum of both streams' scores means:
with classifiers S and T, spatial + S^+ T temporal, read by S, is S spatial + T temporal.
Joins before it start as the spatial map alone, and hidden layers at 0. Everywhere else the
classifier can be fitted to the fused features before the first step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from fusion.network.joins import ConcatJoin, ConvJoin
from fusion.network.net import ConvFusionNet
from fusion.network.pooling import FusedPool

Inputs = tuple[Tensor, Tensor]


@torch.no_grad()
def set_scales(net: ConvFusionNet, batches: Sequence[Inputs]) -> dict[str, float]:
    """Give each join the ratio of both maps' root mean squares over some batches, as they reach
    it: what a join gives is looked at, by the next one, only after its own scale is set."""
    training = net.training
    net.eval()
    scales = {}
    for stage in net.stages:
        join = net.join(stage)
        sums = torch.zeros(2, dtype=torch.float64)
        for inputs in batches:
            x, y = maps_before(net, stage, *inputs)
            sums += torch.stack([m.double().square().mean() for m in (x, join.project(y))])
        a, b = sums.tolist()
        scales[stage] = (a / b) ** 0.5 if a > 0 and b > 0 else 1.0
        join.scale.fill_(scales[stage])
    net.train(training)
    return scales


def maps_before(net: ConvFusionNet, stage: str, frames: Tensor, flow: Tensor) -> Inputs:
    """The two maps (N, C, h, w) that the join after a stage is given."""
    return next(
        (x, y)
        for place, x, y in net.pairs(frames, flow)
        if place is not None and place.spatial == stage
    )


@torch.no_grad()
def align(net: ConvFusionNet, spatial: nn.Linear, temporal: nn.Linear) -> bool:
    """Start the classifier (and the filters of `conv`) at the sum of both streams' scores, where
    the fused map goes straight to the classifier; returns whether it does."""
    *earlier, stage = net.stages
    others = [net.join(name) for name in earlier]
    for join in others:
        if isinstance(join, ConvJoin):
            join.turn(torch.zeros(join.out, join.out))
    if not net.straight or stage != net.last_map or isinstance(net.pool, FusedPool):
        return False
    last = net.join(stage)
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
    # Other joins before the last one have changed the map that the classifier knows.
    known = all(isinstance(join, ConvJoin) for join in others)
    return isinstance(last, ConcatJoin | ConvJoin) and known


PENALTY = 1e-2
"""Of the squared weights, for features of unit variance."""


def fit_head(net: ConvFusionNet, batches: Iterable[tuple[Inputs, Tensor]]) -> float:
    """Fit the classifier alone (logistic regression) to what the fused features are at the start,
    over batches with their labels; returns the share of them that it then gets right.

    The towers' own classifiers know nothing of maps that a sum or a product has mixed; gradients
    that come through one of them spoil the towers before it has learnt (Kumar et al. 2022).
    """
    training = net.training
    net.eval()
    with torch.no_grad():
        pairs = [(net.features(inputs)[0].double(), labels) for inputs, labels in batches]
    net.train(training)
    rows, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    mean, spread = rows.mean(0), rows.std(0, correction=0).clamp_min(1e-6)
    rows = (rows - mean) / spread
    weight = torch.zeros(net.head.out_features, rows.shape[1], dtype=torch.double)
    bias = torch.zeros(net.head.out_features, dtype=torch.double)
    for parameter in (weight, bias):
        parameter.requires_grad_()
    search = torch.optim.LBFGS(
        [weight, bias], max_iter=200, tolerance_change=1e-7, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        search.zero_grad()
        value = nn.functional.cross_entropy(rows @ weight.T + bias, labels)
        value = value + PENALTY / 2 * weight.square().sum()
        value.backward()
        return value

    search.step(loss)
    with torch.no_grad():
        right = ((rows @ weight.T + bias).argmax(1) == labels).double().mean()
        net.head.weight.copy_(weight / spread)
        net.head.bias.copy_(bias - (weight / spread) @ mean)
    return float(right)
