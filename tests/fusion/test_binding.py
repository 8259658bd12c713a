"""Which fusions can see that two things are at one place, on two drawn maps: no videos, no luck.

A P and a Q lie at two places of the frame; one place moves up, the other down. The class says
whether the P moves up: an XOR of which is where and which way that place moves. Each map by itself
says nothing, and neither does any sum f(frame) + g(flow): over the quadruple of both frames x both
flows, its margins cancel.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fusion.network import (
    ConvFusionNet,
    FusionOptions,
    align,
    fused_logits,
    fusion_recipe,
    set_scales,
)
from streams.networks import Network, StreamNet
from streams.training import decay_groups

SIDE = 8
Inputs = tuple[Tensor, Tensor]


def tower(seed: int) -> StreamNet:
    """Two maps of a real network's kind, 8 x 8 and 4 x 4; nothing looks further than a place."""
    torch.manual_seed(seed)
    parts: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(2, 6, 1),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(6, 8, 2, 2),
        "relu2": nn.ReLU(),
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return StreamNet(Network(parts, nn.Linear(8, 2), channels=2, size=SIDE, dropout=0.0))


def quadruples(count: int, seed: int) -> tuple[Inputs, Tensor]:
    """Frames (4 n, 1, 2, 8, 8), flow of the same shape, and labels: both frames x both flows."""
    drawn = torch.Generator().manual_seed(seed)
    frames, flow = (torch.zeros(count, 2, 2, 2, SIDE, SIDE) for _ in range(2))
    for i in range(count):
        places = torch.randperm((SIDE // 2) ** 2, generator=drawn)[:2]
        for which, place in enumerate(places.tolist()):
            y, x = 2 * (place // (SIDE // 2)), 2 * (place % (SIDE // 2))
            box = (slice(y, y + 2), slice(x, x + 2))
            for twin in (0, 1):
                frames[(i, twin, slice(None), which ^ twin, *box)] = 1
                flow[(i, slice(None), twin, which ^ twin, *box)] = 1
    labels = torch.tensor([0, 1, 1, 0]).repeat(count)
    return (frames.flatten(0, 2)[:, None], flow.flatten(0, 2)[:, None]), labels


def net_of(options: FusionOptions) -> ConvFusionNet:
    return ConvFusionNet(
        tower(1),
        tower(2),
        stages=options.stages,
        join=options.join,
        pool=options.pool,
        dropout=0.0,
        sketch=64,
        hidden=options.hidden,
        root=options.root,
    )


def trained(options: FusionOptions, steps: int, rate: float) -> ConvFusionNet:
    inputs, labels = quadruples(32, seed=0)
    torch.manual_seed(0)
    net = net_of(options)
    set_scales(net, [inputs])
    align(net, tower(1).head, tower(2).head)
    groups = decay_groups(net, "towers.", options.tower_lr)
    for group in groups:
        group["lr"] = rate * group["scale"]
    search = torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(fused_logits(net(inputs)), labels)
        search.zero_grad()
        loss.backward()
        search.step()
    return net.eval()


def right(net: ConvFusionNet) -> tuple[float, float]:
    """Accuracy on new quadruples, and of the choice between a clip and its twin in flow."""
    inputs, labels = quadruples(64, seed=1)
    with torch.no_grad():
        logits = fused_logits(net(inputs))
    margins = (logits[:, 1] - logits[:, 0]).view(-1, 2, 2)
    # Of each frame: the flow that makes it class 1, less the one that makes it class 0.
    choice = torch.stack([margins[:, 0, 1] - margins[:, 0, 0], margins[:, 1, 0] - margins[:, 1, 1]])
    chosen = (choice > 1e-6).double() + 0.5 * (choice.abs() <= 1e-6)
    return float((logits.argmax(1) == labels).double().mean()), float(chosen.mean())


@pytest.mark.slow
def test_the_default_binds() -> None:
    options = fusion_recipe("small").fusion
    accuracy, choice = right(trained(options, steps=300, rate=0.05))
    assert accuracy >= 0.95
    assert choice == 1.0


def test_every_recipe_has_what_binding_needs() -> None:
    """Both differ from the one above only in numbers: filters, rates, steps."""
    for name in ("small", "modern"):
        options = fusion_recipe(name).fusion
        assert options.hidden > 0
        assert options.stages == ("last-1", "last")
        assert options.tower_lr == 1.0  # towers that binding alone was to teach know nothing yet


@pytest.mark.parametrize("join", ["sum", "concat", "conv"])
def test_an_additive_fusion_is_right_in_half_of_all_forced_choices(join: str) -> None:
    """Exactly, whatever it learns."""
    options = FusionOptions(join=join, stages=("last",))  # type: ignore[arg-type]
    accuracy, choice = right(trained(options, steps=40, rate=0.1))
    assert choice == 0.5
    assert accuracy <= 0.75


BINDS = {
    # join, stages, pool, hidden -> whether anything that is not linear sees both maps at a place
    ("sum", "last", "2d", 0): False,
    ("concat", "last", "2d", 0): False,
    ("conv", "last", "2d", 0): False,
    ("concat", "last", "3d", 0): False,
    ("sum", "last", "3d", 0): True,
    ("conv", "last", "3d", 0): True,
    ("max", "last", "2d", 0): True,
    ("multiply", "last", "2d", 0): True,
    ("bilinear", "last", "2d", 0): True,
    ("3d-fused", "last", "2d", 0): True,
    **{(join, "last-1", "2d", 0): True for join in ("sum", "concat", "conv", "max", "multiply")},
    **{(join, "last", "2d", 16): True for join in ("sum", "concat", "conv", "max", "multiply")},
}


@pytest.mark.parametrize(("kind", "binds"), BINDS.items(), ids=str)
def test_who_can_bind(kind: tuple[str, str, str, int], binds: bool) -> None:
    """f(a, b) - f(a, b') - f(a', b) + f(a', b') is 0 for every sum of two functions, with any
    weights; a fusion that can bind has weights for which it is not."""
    join, stage, pool, hidden = kind
    torch.manual_seed(0)
    net = ConvFusionNet(
        tower(1),
        tower(2),
        stages=(stage,),
        join=join,
        pool=pool,
        hidden=hidden,
        dropout=0.0,
        sketch=64,
        root="pooled",
    ).eval()
    for parameter in net.joins.parameters():
        nn.init.normal_(parameter)
    nn.init.normal_(net.head.weight)
    inputs, _ = quadruples(16, seed=3)
    with torch.no_grad():
        a, b, c, d = fused_logits(net(inputs)).double().view(16, 4, 2).unbind(1)
    contrast = float((a - b - c + d).abs().max() / a.abs().max())
    assert (contrast > 1e-4) if binds else (contrast < 1e-5), contrast


def test_the_default_starts_as_late_fusion() -> None:
    """To rounding: the hidden layers add 0, the first join passes the spatial map on, the last is
    aligned. Only what all classes share may differ."""
    inputs, _ = quadruples(8, seed=5)
    towers = tower(1).eval(), tower(2).eval()
    net = net_of(fusion_recipe("small").fusion).eval()
    set_scales(net, [inputs])
    assert align(net, towers[0].head, towers[1].head)
    with torch.no_grad():
        late = towers[0](inputs[0]) + towers[1](inputs[1])
        start = fused_logits(net(inputs))
    late, start = (v - v.mean(1, keepdim=True) for v in (late, start))
    torch.testing.assert_close(start, late, atol=1e-5, rtol=1e-4)
