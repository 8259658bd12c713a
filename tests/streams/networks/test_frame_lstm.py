"""Frame networks with an LSTM behind them: ConvNet+LSTM of Quo Vadis, and LRCN."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks import build_network, fill, load_initial, parameters_of
from streams.networks.frame_lstm import FrameLSTM
from streams.networks.network import Network
from streams.networks.stream_net import StreamNet
from streams.networks.torchvision_compat import models
from streams.training import recipe


def frames_of_columns() -> Network:
    """What is bright in each of 8 columns: 64 numbers of a frame of 8 x 8."""
    parts = OrderedDict(conv=nn.Conv2d(3, 8, (8, 1)), relu=nn.ReLU(), flatten=nn.Flatten())
    return Network(parts, nn.Linear(64, 2), channels=3, size=8)


def small(answer: str = "mean", classes: int = 3, **options: object) -> FrameLSTM:
    torch.manual_seed(0)
    settings = {"hidden": 5, "norm": False, "frozen": False, "frames": 4, "dropout": 0.0, **options}
    return FrameLSTM(frames_of_columns, classes, answer=answer, **settings)  # type: ignore[arg-type]


def on_paper(name: str, classes: int, **options: object) -> Network:
    with torch.device("meta"):
        return build_network(name, "rgb", classes, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frames", "alone", "whole"),
    [("inception-v1", 5_599_904, 8_954_928), ("resnet50", 23_508_032, 28_960_208)],
)
def test_a_convnet_with_lstm_has_the_published_size(frames: str, alone: int, whole: int) -> None:
    net = on_paper("convnet-lstm", 400, frame_network=frames)
    assert parameters_of(net.backbone.get_submodule("frames")) == alone
    assert parameters_of(net) == whole
    assert net.shape() == (3, 25, 224, 224)
    assert parameters_of(on_paper("convnet-lstm", 400, frame_network=frames, norm=False)) == whole


def test_it_sees_every_fifth_of_25_frames() -> None:
    input_ = recipe("modern", "spatial", "convnet-lstm").input
    assert (input_.steps, getattr(input_, "stride", 0)) == (25, 5)
    assert getattr(recipe("modern", "temporal", "lrcn").input, "length", 0) == 16


def test_the_layers_of_lrcn() -> None:
    net = on_paper("lrcn", 101)
    shapes = {}
    x = torch.zeros(1, 3, 227, 227, device="meta")
    for name, part in net.backbone.get_submodule("frames").named_children():
        x = part(x)
        shapes[name] = tuple(x.shape[1:])
    assert [shapes[f"conv{i}"] for i in range(1, 6)] == [
        (96, 111, 111),
        (384, 26, 26),
        (512, 13, 13),
        (512, 13, 13),
        (384, 13, 13),
    ]
    assert [shapes[f"pool{i}"] for i in (1, 2, 5)] == [(96, 55, 55), (384, 13, 13), (384, 6, 6)]
    assert shapes["flatten"] == (13_824,)
    assert list(shapes)[-3:] == ["fc6", "relu6", "drop6"]
    assert shapes["fc6"] == (4096,)
    assert net.get_submodule("backbone.frames.drop6").p == 0.9
    assert net.dropout.p == 0.5


def test_the_size_of_lrcn() -> None:
    convolutions = (
        (3 * 49 + 1) * 96
        + (48 * 25 + 1) * 384
        + (384 * 9 + 1) * 512
        + (256 * 9 + 1) * 512
        + (256 * 9 + 1) * 384
    )
    fc6 = (13_824 + 1) * 4096
    lstm = 4 * 256 * (4096 + 256 + 2)
    assert parameters_of(on_paper("lrcn", 101)) == convolutions + fc6 + lstm + (256 + 1) * 101


def test_the_steps_are_those_of_torchs_lstm_on_the_features_of_the_frames() -> None:
    net = small().eval()
    clip = torch.randn(2, 3, 4, 8, 8)
    frame, (lstm, row) = frames_of_columns(), list(net.backbone)[1:]
    frame.backbone.load_state_dict(net.backbone.get_submodule("frames").state_dict())
    features = torch.stack([frame.backbone(clip[:, :, t]) for t in range(4)], 1)
    states = lstm.lstm(features)[0]
    each = net.head.each(row(states))  # type: ignore[operator]
    torch.testing.assert_close(net.classify_steps(net.features(clip)), each)
    expected = each.softmax(2).mean(1)
    torch.testing.assert_close(net(clip).softmax(1), expected)
    last = small("last").eval()
    last.load_state_dict(net.state_dict())
    torch.testing.assert_close(last(clip), each[:, -1])


def test_a_clip_may_be_longer_than_those_of_the_training() -> None:
    for answer in ("mean", "last"):
        assert small(answer).eval()(torch.randn(2, 3, 9, 8, 8)).shape == (2, 3)


def test_a_later_frame_does_not_change_an_earlier_step() -> None:
    net, clip = small().eval(), torch.randn(1, 3, 4, 8, 8)
    other = clip.clone()
    other[:, :, 2:] = 0
    with torch.no_grad():
        steps = [net.classify_steps(net.features(x)) for x in (clip, other)]
    assert torch.equal(steps[0][:, :2], steps[1][:, :2])
    assert not torch.allclose(steps[0][:, 2:], steps[1][:, 2:])


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_frames_keep_weights_and_statistics_and_learning_ones_do_not(frozen: bool) -> None:
    torch.manual_seed(0)
    net = build_network("convnet-lstm", "rgb", 2, length=3, size=32, frozen=frozen)
    stream = StreamNet(net).train()
    frames = net.backbone.get_submodule("frames")
    before = {name: value.clone() for name, value in frames.state_dict().items()}
    sgd = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    stream(torch.rand(4, 1, 9, 32, 32)).square().sum().backward()
    sgd.step()
    moved = [
        not torch.equal(before[name], value)
        for name, value in frames.state_dict().items()
        if not name.endswith("num_batches_tracked")
    ]
    assert not any(moved) if frozen else sum(moved) > 0.9 * len(moved)


def moving_columns(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """(count, 1, 18, 8, 8): a bright column that goes right (1) or left (0) from a random place."""
    rng = torch.Generator().manual_seed(seed)
    start = torch.randint(2, (count,), generator=rng)
    frames = 0.05 * torch.rand(count, 6, 3, 8, 8, generator=rng)
    for row in range(count):
        for t in range(6):
            frames[row, t, :, :, int(start[row]) + t] += 1
    flip = torch.rand(count, generator=rng) < 0.5
    frames[flip] = frames[flip].flip(1)
    return frames.flatten(1, 2)[:, None], (~flip).long()


@pytest.mark.parametrize(("answer", "norm"), [("mean", False), ("last", True)])
def test_from_pixels_it_learns_which_way_something_moves(answer: str, norm: bool) -> None:
    """Each frame alone says nothing: both ways hold the same frames."""
    net = StreamNet(small(answer, 2, hidden=16, norm=norm, frames=6)).train()
    adam = torch.optim.Adam(net.parameters(), 0.01)
    clips, labels = moving_columns(200, 0)
    for _ in range(8):
        for rows in torch.arange(200).split(25):
            steps = net(clips[rows], each_step=True)[1]
            assert steps.shape == (25, 6, 2)
            each = labels[rows].repeat_interleave(6)
            adam.zero_grad()
            nn.functional.cross_entropy(steps.flatten(0, 1), each).backward()
            adam.step()
    clips, labels = moving_columns(100, 1)
    with torch.no_grad():
        assert (net.eval()(clips).argmax(1) == labels).all()


def test_its_frames_start_from_a_frame_network(tmp_path: Path) -> None:
    torch.manual_seed(1)
    single = build_network("lrcn-caffenet", "rgb", 7, size=96, width=1 / 16)
    torch.save(single.state_dict(), tmp_path / "single.pt")
    net = build_network("lrcn", "rgb", 5, length=3, size=96, width=1 / 16)
    lstm = net.backbone.get_submodule("lstm.lstm")
    before = {name: value.clone() for name, value in lstm.state_dict().items()}
    said = load_initial(net, "lrcn", str(tmp_path / "single.pt"))
    assert said.endswith("of lrcn-caffenet; the LSTM starts anew")
    frames = net.backbone.get_submodule("frames").state_dict()
    given = single.backbone.state_dict()
    assert all(torch.equal(value, given[name]) for name, value in frames.items())
    assert all(torch.equal(value, before[name]) for name, value in lstm.state_dict().items())
    again = build_network("lrcn", "rgb", 5, length=3, size=96, width=1 / 16)
    assert fill(again, net.state_dict(), "a run") == "all layers"
    assert torch.equal(again.head.weight, net.head.weight)


def test_imagenets_weights_are_those_of_the_frame_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from streams.networks import weights

    asked = []
    other = models.get_model("resnet18", weights=None)

    def state_of(name: str) -> dict[str, Tensor]:
        asked.append(name)
        return other.state_dict()

    monkeypatch.setattr(weights, "imagenet_state", state_of)
    net = build_network("convnet-lstm", "flow", 5, length=3, size=32, frame_network="resnet18")
    said = load_initial(net, "convnet-lstm", "imagenet")
    assert asked == ["resnet18"]
    assert "first layer turned from 3 into 2 channels" in said
    mine = net.backbone.get_submodule("frames").state_dict()["layer1.0.conv1.weight"]
    assert torch.equal(mine, other.state_dict()["layer1.0.conv1.weight"])


def test_what_is_no_frame_network_is_refused() -> None:
    with pytest.raises(UserError, match="frame_network=c3d is no network for single frames"):
        build_network("convnet-lstm", frame_network="c3d")
    with pytest.raises(UserError, match="227 x 227 pixels only, not 96 x 96"):
        on_paper("lrcn", 5)(torch.zeros(1, 3, 4, 96, 96, device="meta"))


def test_published_recipes_hold_the_solvers_values() -> None:
    optim = recipe("published", "spatial", "lrcn").optim
    assert (optim.lr, optim.batch, optim.weight_decay, optim.clip) == (1e-3, 24, 5e-3, 5)
    assert optim.head_lr == 10
    alone = recipe("published", "spatial", "lrcn-caffenet").optim
    assert (alone.steps, alone.milestones) == (5000, (0.6,))
    steps = recipe("published", "spatial", "convnet-lstm").optim.steps
    assert steps == 110_000
