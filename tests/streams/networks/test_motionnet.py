"""MotionNet and the hidden two-stream: sizes, numbers, and that motion is learnt without labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks import hidden_two_stream, motionnet
from streams.networks.flow_error import judge_flow
from streams.networks.learnable import learnable
from streams.networks.network import Network
from streams.networks.photometric import motion_loss
from streams.networks.torchvision_compat import models
from streams.settings import FLOW_UNIT

# Arithmetic: filters x (channels x 3 x 3) + a bias each; of 4 x 4 kernels where maps double.
CONTRACTING = [(33, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)]
CONTRACTING += [(512, 512)] * 3 + [(512, 1024), (1024, 1024)]
EXPANDING = [(1024, 512, 512), (512, 512, 256), (256, 256, 128), (128, 128, 64)]
"""Channels from below, from beside, filters."""


def conv(inputs: int, outputs: int, side: int = 3) -> int:
    return inputs * outputs * side**2 + outputs


def numbers(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def temporal(channels: int = 4, classes: int = 3, size: int = 32) -> Network:
    """A temporal stream of one layer."""
    parts = {
        "conv1": nn.Conv2d(channels, 8, 3, 2, 1),
        "norm1": nn.BatchNorm2d(8),
        "relu1": nn.ReLU(),
        "pool": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    }
    return Network(parts, nn.Linear(8, classes), channels=channels, size=size)


def test_motionnet_has_42_319_860_parameters() -> None:
    with torch.device("meta"):
        net = motionnet.build(33, 400)
    arithmetic = sum(conv(*pair) for pair in CONTRACTING) + conv(1024, 20)
    for below, beside, filters in EXPANDING:
        arithmetic += conv(below, filters, 4) + conv(20, 20, 4)
        arithmetic += conv(beside + filters + 20, filters) + conv(filters, 20)
    assert numbers(net) == arithmetic == 42_319_860


def test_flow_at_five_scales() -> None:
    with torch.device("meta"):
        net, frames = motionnet.build(33), torch.zeros(2, 33, 224, 224)
        sizes = [flow.shape for flow in net.pyramid(frames)]
        assert sizes == [(2, 20, size, size) for size in (112, 56, 28, 14, 7)]
        assert net(frames).shape == (2, 20, 224, 224)
        assert net.flow(frames).shape == (2, 10, 2, 224, 224)
        assert net.features(frames).shape == (2, 1024)
        assert net.pyramid(torch.zeros(1, 33, 256, 320))[0].shape == (1, 20, 128, 160)


@pytest.mark.parametrize("scales", [2, 3, 4, 5])
def test_fewer_scales_and_less_width(scales: int) -> None:
    net = motionnet.build(9, width=1 / 8, scales=scales, size=64)
    sizes = [flow.shape[-1] for flow in net.pyramid(torch.randn(1, 9, 64, 64))]
    assert sizes == [32, 16, 8, 4, 2][:scales]
    assert net.length == 2


def test_it_starts_from_no_motion_and_every_layer_learns() -> None:
    net, frames = motionnet.build(9, width=1 / 8, scales=3, size=64), torch.randn(2, 9, 64, 64)
    assert not net.flow(frames).any()
    sgd = torch.optim.SGD(net.parameters(), 1e-6)
    for _ in range(4):  # a step for each scale that flow passes on its way up
        sgd.zero_grad()
        motion_loss(net.pyramid(frames), frames).total.backward()
        sgd.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_what_motionnet_cannot_take() -> None:
    with pytest.raises(UserError, match="34 channels are no frames"):
        motionnet.build(34)
    with pytest.raises(UserError, match="3 channels are no frames"):
        motionnet.build(3)
    with pytest.raises(UserError, match="scales=6 must be from 2 to 5"):
        motionnet.build(33, scales=6)
    net = motionnet.build(9, width=1 / 8, scales=3)
    with pytest.raises(UserError, match="sides that 8 divides, not 64 x 60"):
        net(torch.zeros(1, 9, 64, 60))
    with pytest.raises(UserError, match="hidden-two-stream"):
        net.classify(net.features(torch.zeros(1, 9, 64, 64)))
    with pytest.raises(UserError, match="has none"):
        learnable(net, "top")


def hidden(**options: float) -> hidden_two_stream.HiddenTwoStream:
    torch.manual_seed(0)
    net = hidden_two_stream.build(
        9, 3, temporal=temporal(), width=1 / 8, scales=2, **options
    ).eval()
    for name, parameter in net.motion.named_parameters():
        if "conv_pr.weight" in name:
            nn.init.normal_(parameter, std=0.05)
    return net


def test_the_hidden_stream_is_the_temporal_stream_on_motionnet_s_flow() -> None:
    net, alone, frames = hidden(), temporal().eval(), torch.randn(2, 9, 32, 32)
    alone.load_state_dict(
        {
            name: value
            for name, value in net.state_dict().items()
            if not name.startswith("backbone.motion.")
        }
    )
    with torch.no_grad():
        flow = net.flow(frames)
        assert flow.shape == (2, 2, 2, 32, 32)
        assert flow.std() > 0.1
        seen = flow.flatten(1, 2).clamp(-20, 20) / FLOW_UNIT
        torch.testing.assert_close(net(frames), alone(seen))
    assert numbers(net) == numbers(net.motion) + numbers(alone)


def vgg16(channels: int, classes: int) -> Network:
    vgg = models.vgg16(weights=None, num_classes=classes)
    vgg.features[0] = nn.Conv2d(channels, 64, 3, 1, 1)
    parts = {"features": vgg.features, "row": nn.Flatten(), "full": vgg.classifier[:-1]}
    return Network(parts, vgg.classifier[-1], channels=channels, size=224, fixed_size=True)


def resnet18(channels: int, classes: int) -> Network:
    resnet = models.resnet18(weights=None, num_classes=classes)
    resnet.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    parts = dict(list(resnet.named_children())[:-1], row=nn.Flatten())
    return Network(parts, resnet.fc, channels=channels, size=224)


# torchvision's counts, less the classes that go, and the 17 channels more of the first layer.
TEMPORAL: list[tuple[Callable[[int, int], Network], int]] = [
    (vgg16, 138_357_544 - 899 * 4097 + 17 * 64 * 3 * 3),
    (resnet18, 11_689_512 - 899 * 513 + 17 * 64 * 7 * 7),
]


@pytest.mark.parametrize(("builder", "count"), TEMPORAL)
def test_the_hidden_stream_of_the_paper(builder: Callable[[int, int], Network], count: int) -> None:
    with torch.device("meta"):
        net = hidden_two_stream.build(33, 101, temporal=builder(20, 101))
        assert numbers(net) == 42_319_860 + count
        assert net(torch.zeros(2, 33, 224, 224)).shape == (2, 101)
        assert net.flow(torch.zeros(2, 33, 224, 224)).shape == (2, 10, 2, 224, 224)
    assert net.shape() == (33, 224, 224)


def test_flow_is_cut_at_20_pixels() -> None:
    flow = torch.tensor([-1e3, -20.0, -4.52, 0.0, 9.04, 20.0, 21.0])
    seen = hidden_two_stream.FlowInput()(flow)
    assert seen.tolist() == pytest.approx([-2.2124, -2.2124, -0.5, 0, 1, 2.2124, 2.2124], abs=1e-4)
    paper = hidden_two_stream.FlowInput(unit=20 / 127.5)(flow)
    assert paper.tolist() == pytest.approx([-127.5, -127.5, -28.815, 0, 57.63, 127.5, 127.5])


def test_classes_teach_motionnet_too() -> None:
    net, frames = hidden(), torch.randn(2, 9, 32, 32)
    nn.functional.cross_entropy(net(frames), torch.tensor([0, 2])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    first = net.get_submodule(net.first)
    assert first is net.motion.backbone.conv1
    assert isinstance(first.weight, Tensor)
    assert first.weight.grad is not None
    assert first.weight.grad.abs().max() > 0


def test_one_pass_gives_features_and_the_loss_of_the_motion() -> None:
    net, frames = hidden(), torch.randn(2, 9, 32, 32)
    with torch.no_grad():
        features, loss = net.with_own_loss(frames)
        assert torch.equal(features, net.features(frames))
        assert torch.equal(net.after(net.until(frames, "motion"), "motion"), features)
        assert loss == motion_loss(net.motion.pyramid(frames), frames).total
    assert [s.name for s in net.stages()] == ["motion", "flow_input", "conv1", "norm1", "relu1"]
    assert len(net.norms) == 1


def test_a_temporal_stream_that_does_not_fit_is_refused() -> None:
    narrow = {"width": 1 / 8, "scales": 2}
    with pytest.raises(UserError, match="2 fields of flow are a stack of 4 channels"):
        hidden_two_stream.build(9, 3, temporal=temporal(channels=6), **narrow)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="3 classes apart, and 5 are wanted"):
        hidden_two_stream.build(9, 5, temporal=temporal(), **narrow)  # type: ignore[arg-type]
    twelve = (
        hidden_two_stream.build(12, 3, temporal=temporal(channels=6), **narrow),  # type: ignore[arg-type]
        motionnet.build(12, **narrow),  # type: ignore[arg-type]
    )
    for net in twelve:
        with pytest.raises(UserError, match="cannot be taken apart"):
            hidden_two_stream.build(21, 3, temporal=net, **narrow)  # type: ignore[arg-type]


def test_judging_flow() -> None:
    truth = torch.zeros(1, 2, 2, 2)
    truth[0, :, 0, 0] = torch.tensor([3.0, 4.0])
    truth[0, 0, 0, 1] = 0.5  # not above 0.5 px: it does not move
    truth[0, 0, 1, 1] = 2e9  # unknown
    predicted = torch.zeros(1, 2, 2, 2)
    predicted[0, :, 0, 0] = torch.tensor([3.0, 1.0])
    predicted[0, 0, 1, 1] = 7
    error = judge_flow(predicted, truth)
    assert error.all == pytest.approx(3.5 / 3)
    assert error.moving == pytest.approx(3)
    assert error.zero_all == pytest.approx(5.5 / 3)
    assert error.zero_moving == pytest.approx(5)
    assert error.known == 3
    assert error.moving_share == pytest.approx(1 / 3)
    assert str(error) == (
        "end-point error 1.167 px (zero flow: 1.833), where it moves 3.000 px (zero flow: 5.000; "
        "33% of 3 pixels)"
    )
    assert math.isnan(judge_flow(predicted[..., 1:, :1], truth[..., 1:, :1]).moving)
    with pytest.raises(UserError, match="resize one"):
        judge_flow(predicted[..., :1], truth)
    with pytest.raises(UserError, match="no pixel"):
        judge_flow(predicted, torch.full_like(truth, torch.nan))
