"""The conv-level network: what each join computes, where it starts, what it refuses."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from fusion.network.net import ConvFusionNet, fused_logits
from fusion.network.recipe import fusion_recipe_from
from fusion.network.start import PENALTY, align, fit_head, set_scales
from fusion.network.task import fusion_net
from storage.errors import UserError
from streams.networks import StreamNet, build_stream, current_names

CLASSES, LENGTH, SIDE = 5, 2, 48
JOINS = ("sum", "max", "concat", "conv", "bilinear", "multiply")

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def towers() -> tuple[StreamNet, StreamNet]:
    torch.manual_seed(3)
    pair = [
        build_stream("spatial", classes=CLASSES, dropout=0.0),
        build_stream("temporal", classes=CLASSES, length=LENGTH, dropout=0.0),
    ]
    for net in pair:  # running statistics and classifiers as a training leaves them, not blank
        nn.init.normal_(net.head.weight, std=0.2)
        nn.init.normal_(net.head.bias)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the plain mean over what it is shown
        net.train()
        channels = net.backbone.conv1.in_channels
        with torch.no_grad():
            net(torch.randn(4, 1, channels, SIDE, SIDE))
        net.eval()
    return pair[0], pair[1]


@pytest.fixture(scope="module")
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(4)
    frames = torch.randn(2, 3, 3, SIDE, SIDE)
    return frames, torch.randn(2, 3, 2 * LENGTH, SIDE, SIDE)


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize(
    ("stages", "pool"),
    [
        (("layer4",), "conv3d"),
        pytest.param(("layer2", "layer3"), "2d", marks=pytest.mark.slow),
    ],
)
def test_logits_and_gradients_of_both_towers(
    towers: tuple[StreamNet, StreamNet],
    inputs: tuple[torch.Tensor, torch.Tensor],
    join: str,
    stages: tuple[str, ...],
    pool: str,
) -> None:
    net = ConvFusionNet(*towers, stages=stages, join=join, pool=pool, dropout=0.0, sketch=64)
    net.train()
    logits = fused_logits(net(inputs))
    assert logits.shape == (2, CLASSES)
    nn.functional.cross_entropy(logits, torch.tensor([1, 3])).backward()
    for name in ("spatial", "temporal"):
        gradient = net.tower(name).backbone.conv1.weight.grad
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0, f"nothing reaches the {name} tower"


def test_both_losses_reach_the_temporal_tower_s_own_head(
    towers: tuple[StreamNet, StreamNet], inputs: tuple[torch.Tensor, torch.Tensor]
) -> None:
    net = ConvFusionNet(*towers, stages=("layer3",), two_towers=True).eval()
    fused, own = net(inputs)
    assert own is not None
    with torch.no_grad():
        alone = towers[1](inputs[1])
    torch.testing.assert_close(own, alone, rtol=1e-4, atol=1e-4)
    mean = (fused.log_softmax(-1) + own.log_softmax(-1)) / 2
    torch.testing.assert_close(fused_logits((fused, own)), mean)


def test_what_lies_behind_the_last_join_is_cut(towers: tuple[StreamNet, StreamNet]) -> None:
    net = ConvFusionNet(*towers, stages=("layer2",), join="sum")
    kept = {name for name, _ in net.tower("temporal").named_parameters()}
    assert any(name.startswith("network.backbone.layer2") for name in kept)
    cut = ("network.backbone.layer3", "network.backbone.layer4", "network.head")
    assert not any(name.startswith(cut) for name in kept)


@pytest.mark.parametrize("stage", ["layer2", "layer3", "layer4"])
def test_conv_starts_by_adding_the_rescaled_towers(
    towers: tuple[StreamNet, StreamNet], inputs: tuple[torch.Tensor, torch.Tensor], stage: str
) -> None:
    nets = {j: ConvFusionNet(*towers, stages=(stage,), join=j).eval() for j in ("sum", "conv")}
    with torch.no_grad():
        for net in nets.values():
            net.joins[stage].scale.fill_(2.5)
        maps = {join: net.maps(*inputs)[0] for join, net in nets.items()}
    torch.testing.assert_close(maps["conv"], maps["sum"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stage", ["layer2", "layer3"])
def test_concatenation_starts_as_a_sum_where_a_stage_follows(
    towers: tuple[StreamNet, StreamNet], inputs: tuple[torch.Tensor, torch.Tensor], stage: str
) -> None:
    nets = {j: ConvFusionNet(*towers, stages=(stage,), join=j).eval() for j in ("sum", "concat")}
    with torch.no_grad():
        maps = {join: net.maps(*inputs)[0] for join, net in nets.items()}
    torch.testing.assert_close(maps["concat"], maps["sum"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("join", ["conv", "concat"])
def test_the_aligned_start_is_late_sum_fusion(
    towers: tuple[StreamNet, StreamNet], inputs: tuple[torch.Tensor, torch.Tensor], join: str
) -> None:
    stages = ("last-1", "last") if join == "conv" else ("last",)
    net = ConvFusionNet(*towers, join=join, stages=stages, hidden=16).eval()
    scales = set_scales(net, [inputs])
    assert align(net, towers[0].head, towers[1].head)
    with torch.no_grad():
        late = towers[0](inputs[0]) + towers[1](inputs[1])
        started = fused_logits(net(inputs))
    assert 0.05 < scales["layer4"] < 20
    twice = ConvFusionNet(*towers, join="sum", stages=("layer3", "layer4"))
    assert not align(twice, towers[0].head, towers[1].head)
    torch.testing.assert_close(started, late, rtol=1e-3, atol=1e-3)


def test_scales_bring_both_maps_to_one_size(
    towers: tuple[StreamNet, StreamNet], inputs: tuple[torch.Tensor, torch.Tensor]
) -> None:
    frames, flow = inputs
    seen: list[tuple[float, float]] = []
    net = ConvFusionNet(*towers, stages=("layer3",), join="sum").eval()
    set_scales(net, [(frames, flow), (frames * 0.5, flow)])
    join = net.joins["layer3"]
    join.register_forward_hook(
        lambda module, given, _: seen.append(
            (float(given[0].square().mean()), float((given[1] * module.scale).square().mean()))
        )
    )
    with torch.no_grad():
        net((frames, flow))
        net((frames * 0.5, flow))
    spatial, temporal = (sum(pair[i] for pair in seen) for i in (0, 1))
    assert spatial == pytest.approx(temporal, rel=1e-4)


def test_a_later_join_is_scaled_to_what_the_first_one_gives(
    towers: tuple[StreamNet, StreamNet], inputs: tuple[torch.Tensor, torch.Tensor]
) -> None:
    stages = ("layer2", "layer3")
    net = ConvFusionNet(*towers, stages=stages, join="sum").eval()
    set_scales(net, [inputs])
    ratios = []
    for stage in stages:
        net.joins[stage].register_forward_hook(
            lambda join, given, _: ratios.append(
                float(given[0].square().mean() / (given[1] * join.scale).square().mean())
            )
        )
    with torch.no_grad():
        net(inputs)
    assert ratios == pytest.approx([1, 1], rel=1e-4)


def test_the_classifier_is_fitted_to_the_fused_features(
    towers: tuple[StreamNet, StreamNet],
) -> None:
    """The logistic regression that scikit-learn finds, on features that are not standardised."""
    from sklearn.linear_model import LogisticRegression

    net = ConvFusionNet(*towers, join="bilinear", sketch=16).eval()
    net.features = lambda inputs: inputs  # type: ignore[method-assign, assignment]
    drawn = torch.Generator().manual_seed(1)
    labels = torch.arange(60) % CLASSES
    rows = torch.randn(60, 16, generator=drawn) * torch.linspace(0.1, 9, 16) + 3
    rows[:, 0] += labels
    right = fit_head(net, [((rows[:40], rows[:40]), labels[:40]), ((rows[40:],) * 2, labels[40:])])
    with torch.no_grad():
        logits = net.head(rows)
    known = (rows - rows.mean(0)) / rows.std(0, correction=0)
    model = LogisticRegression(C=1 / (PENALTY * len(rows)), tol=1e-8, max_iter=2000)
    wanted = torch.from_numpy(model.fit(known.numpy(), labels.numpy()).decision_function(known))
    logits, wanted = (v - v.mean(1, keepdim=True) for v in (logits, wanted))
    torch.testing.assert_close(logits.double(), wanted.double(), atol=0.02, rtol=0.02)
    assert right == float((logits.argmax(1) == labels).double().mean())


def test_maps_that_do_not_align(towers: tuple[StreamNet, StreamNet]) -> None:
    net = ConvFusionNet(*towers, stages=("layer4",)).eval()
    frames, flow = torch.zeros(1, 1, 3, 64, 64), torch.zeros(1, 1, 2 * LENGTH, 96, 64)
    with pytest.raises(UserError, match="do not align after layer4: 2x2 and 3x2"):
        net((frames, flow))


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("stages", "pool"), [(("layer2",), "3d"), (("layer3",), "2d"), (("layer4",), "conv3d")]
)
def test_parameters_stand_in_the_order_of_the_paper(
    towers: tuple[StreamNet, StreamNet], stages: tuple[str, ...], pool: str
) -> None:
    """Wherever filters follow the join, as VGG's wide layers do in the paper."""
    count = {
        join: parameters(ConvFusionNet(*towers, stages=stages, join=join, pool=pool))
        for join in ("sum", "max", "conv", "concat")
    }
    assert count["sum"] == count["max"] < count["conv"] < count["concat"]


@pytest.mark.slow
def test_towers_of_different_depth_are_joined(inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    spatial = build_stream("spatial", classes=CLASSES, depth=18)
    temporal = build_stream("temporal", classes=CLASSES, depth=50, length=LENGTH)
    for join in JOINS:
        net = ConvFusionNet(spatial, temporal, stages=("layer3",), join=join, sketch=64).eval()
        with torch.no_grad():
            assert fused_logits(net(inputs)).shape == (2, CLASSES)
    net = ConvFusionNet(spatial, temporal, join="conv", stages=("layer4",)).eval()
    for head in (spatial.head, temporal.head):
        nn.init.normal_(head.weight, std=0.2)
    one = tuple(value[:1, :1] for value in inputs)
    set_scales(net, [(one[0], one[1])])
    align(net, spatial.head, temporal.head)
    net.head.weight.data.copy_(spatial.head.weight)
    with torch.no_grad():
        late = spatial.eval()(one[0]) + temporal.eval()(one[1])
        torch.testing.assert_close(fused_logits(net((one[0], one[1]))), late, rtol=1e-3, atol=1e-3)


def test_only_what_follows_is_tuned(
    towers: tuple[StreamNet, StreamNet], inputs: tuple[torch.Tensor, torch.Tensor]
) -> None:
    net = ConvFusionNet(*towers, stages=("layer3",), join="conv", tune="after")
    learns = {name for name, p in net.named_parameters() if p.requires_grad}
    assert learns
    for name in learns:
        assert name.startswith(("joins.", "head.", "towers.spatial.network.backbone.layer4")), name
    net.train()
    before = {n: b.clone() for n, b in net.named_buffers() if "temporal" in n}
    net(inputs)
    for name, buffer in net.named_buffers():
        if name in before:
            assert torch.equal(buffer, before[name]), name


@pytest.mark.parametrize(
    "stages", [(), ("layer0",), ("last-9",), ("layer4", "fc"), ("layer4:layer5",)]
)
def test_a_stage_that_does_not_exist(
    towers: tuple[StreamNet, StreamNet], stages: tuple[str, ...]
) -> None:
    with pytest.raises(UserError, match=r"--stages.*layer2, layer3, layer4"):
        ConvFusionNet(*towers, stages=stages)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (("layer3", "last-1"), "behind the one before"),
        (("layer3:layer4", "layer4:layer3"), "behind the one before"),
        (("layer3:layer4",), None),
    ],
)
def test_places_lie_in_order_and_have_one_size(
    towers: tuple[StreamNet, StreamNet],
    inputs: tuple[torch.Tensor, torch.Tensor],
    stages: tuple[str, ...],
    message: str | None,
) -> None:
    if message:
        with pytest.raises(UserError, match=message):
            ConvFusionNet(*towers, stages=stages)
    else:
        with pytest.raises(UserError, match="layer3 and layer4: 3x3 and 2x2"):
            ConvFusionNet(*towers, stages=stages)(inputs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"join": "average"}, "--join 'average'"),
        ({"pool": "4d"}, "--pool '4d'"),
        ({"tune": "none"}, "--tune 'none'"),
    ],
)
def test_unknown_settings(
    towers: tuple[StreamNet, StreamNet], settings: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ConvFusionNet(*towers, **settings)  # type: ignore[arg-type]


def test_towers_of_different_classes() -> None:
    with pytest.raises(UserError, match="4 classes and the temporal one 5"):
        ConvFusionNet(build_stream("spatial", classes=4), build_stream("temporal", classes=5))


def test_the_sketch_s_root_is_taken_of_what_is_pooled(
    towers: tuple[StreamNet, StreamNet], inputs: tuple[torch.Tensor, torch.Tensor]
) -> None:
    settings = {"join": "bilinear", "stages": ("last",), "sketch": 64}
    net = ConvFusionNet(*towers, root="pooled", **settings).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        sketch = net.maps(*inputs)[0].unflatten(0, inputs[0].shape[:2]).mean(dim=(1, 3, 4))
        features, _ = net.features(inputs)
    rooted = sketch.sign() * ((sketch.abs() + 1e-3).sqrt() - 1e-3**0.5)
    wanted = rooted / (rooted.square().mean(1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(features, wanted)


OLDER = {
    "fusing": {
        "join": "conv", "stages": ["layer4"], "pool": "2d", "snapshots": 5, "gap": 2,
        "two_towers": 0.0, "tune": "all", "tower_lr": 0.1, "dropout": 0.5, "sketch": 2048,
        "align": True, "probe": 0,
    },
    "optim": {"epochs": 20, "lr": 0.01},
}  # fmt: skip
"""As config.json of a run holds them that was made before there were hidden layers."""


@pytest.mark.parametrize("join", ["conv", "bilinear"])
def test_a_run_of_before_hidden_layers_is_what_it_was(
    towers: tuple[StreamNet, StreamNet], inputs: tuple[torch.Tensor, torch.Tensor], join: str
) -> None:
    settings = {**OLDER, "fusing": {**OLDER["fusing"], "join": join}}
    recipe = fusion_recipe_from(settings)
    assert (recipe.fusion.hidden, recipe.fusion.root) == (0, "place")
    assert json.loads(json.dumps(recipe.settings()))["fusing"] == settings["fusing"]
    net = fusion_net(recipe, *towers).eval()
    older = {
        name.replace(".network.", "."): value for name, value in net.state_dict().items()
    }  # the names that such a run's weights have
    assert {"towers.spatial.backbone.conv1.weight", "head.bias"} <= older.keys()
    assert not any("hidden" in name for name in older)
    again = fusion_net(recipe, *towers).eval()
    again.load_state_dict(current_names(older))
    with torch.no_grad():
        assert torch.equal(fused_logits(again(inputs)), fused_logits(net(inputs)))
        if join == "conv":  # linear: the classifier of the mean of the filtered maps
            maps = net.maps(*inputs)[0].unflatten(0, inputs[0].shape[:2]).mean(dim=(1, 3, 4))
            torch.testing.assert_close(fused_logits(net(inputs)), net.head(maps))
