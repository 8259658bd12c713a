"""Frame networks with an LSTM behind them: ConvNet+LSTM of Quo Vadis, and LRCN."""

from __future__ import annotations

import pytest
import torch
from sequence_toys import accuracy, parameter_count, train
from torch import Tensor, nn

from storage.errors import UserError
from streams.aggregators import lrcn
from streams.aggregators.convnet_lstm import ConvNetLSTM, FrameSequence
from streams.aggregators.lrcn import LRCN, frame_layers, fuse
from streams.aggregators.stepwise import mean_over_views
from streams.aggregators.windows import every_window
from streams.networks.torchvision_compat import models


def tiny_frame_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_inception_with_lstm_has_the_published_size(norm: str) -> None:
    with torch.device("meta"):
        frame = models.googlenet(
            weights=None, aux_logits=False, init_weights=False, transform_input=False
        )
        frame.fc = nn.Identity()
        net = ConvNetLSTM(frame, 1024, 400, norm=norm)  # type: ignore[arg-type]
    assert parameter_count(frame) == 5_599_904
    assert parameter_count(net) == 8_954_928


def test_resnet_50_with_lstm_has_the_published_size() -> None:
    with torch.device("meta"):
        frame = models.resnet50(weights=None)
        frame.fc = nn.Identity()
        net = ConvNetLSTM(frame, 2048, 400)
    assert parameter_count(net) == 28_960_208


def test_it_trains_at_every_step_and_answers_with_the_last() -> None:
    net = ConvNetLSTM(tiny_frame_network(), 4, 3, hidden=5).eval()
    assert (net.frames, net.stride, net.loss) == (25, 5, "mean")
    x, lengths = torch.randn(2, 4, 3, 9, 9), torch.tensor([4, 2])
    each, _ = net.steps(x, lengths)
    last = torch.stack([each[0, 3], each[1, 1]])
    torch.testing.assert_close(net(x, lengths), last.log_softmax(1))


def test_the_frame_network_sees_only_valid_frames() -> None:
    frame, twin = tiny_frame_network(), tiny_frame_network()
    twin.load_state_dict(frame.state_dict())
    net = ConvNetLSTM(frame, 4, 3, hidden=5)
    x = torch.randn(2, 4, 3, 9, 9)
    x[1, 1:] = float("nan")
    net(x, torch.tensor([4, 1]))
    twin(torch.cat([x[0], x[1, :1]]))
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(frame.state_dict()[name], value)


def test_frozen_it_keeps_its_weights_and_statistics_and_learning_it_does_not() -> None:
    x, labels = torch.randn(4, 3, 3, 9, 9), torch.tensor([0, 1, 0, 1])
    for frozen in (True, False):
        frame = tiny_frame_network()
        before = {name: value.clone() for name, value in frame.state_dict().items()}
        net = ConvNetLSTM(frame, 4, 2, hidden=5, frozen=frozen)
        train(net, x, labels, epochs=2, rate=0.01)
        net.train()
        same = [torch.equal(before[name], value) for name, value in frame.state_dict().items()]
        assert all(same) if frozen else not any(same)
        assert frame.training is not frozen


def test_frozen_it_equals_the_recurrent_network_on_its_features() -> None:
    frame = tiny_frame_network()
    net = ConvNetLSTM(frame, 4, 3, hidden=5, frozen=True).eval()
    x = torch.randn(2, 4, 3, 9, 9)
    features = frame(x.flatten(0, 1)).unflatten(0, (2, 4))
    torch.testing.assert_close(net(x), net.recurrent(features))


def test_truncation_at_the_end_or_beyond_is_the_full_gradient_down_to_the_pixels() -> None:
    torch.manual_seed(0)
    net = ConvNetLSTM(tiny_frame_network(), 4, 3, hidden=5)
    x, labels = torch.randn(2, 6, 3, 9, 9), torch.tensor([0, 2])
    reached = {}
    for truncation in (0, 6, 4):
        net.truncation = truncation
        leaf = x.clone().requires_grad_()
        for loss in net.losses(leaf, labels):
            loss.backward()
        reached[truncation] = leaf.grad
    assert torch.equal(reached[0], reached[6])
    assert not torch.equal(reached[0], reached[4])


def test_a_frame_network_of_another_width_is_refused() -> None:
    net = ConvNetLSTM(tiny_frame_network(), 5, 3)
    with pytest.raises(
        UserError, match=r"gives \(4,\) a frame, the recurrent network takes \(5,\)"
    ):
        net(torch.zeros(1, 2, 3, 9, 9))
    with pytest.raises(UserError, match=r"takes \(N, T, 3, h, w\)"):
        net(torch.zeros(1, 2, 4, 9, 9))


def test_the_layers_of_lrcn() -> None:
    with torch.device("meta"):
        net = frame_layers()
        x, shapes = torch.zeros(1, 3, lrcn.SIZE, lrcn.SIZE), {}
        for name, part in net.named_children():
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
    assert shapes["flat"] == (13_824,)
    assert shapes["fc6"] == (4096,)
    assert net.drop6.p == 0.9


def test_the_size_of_lrcn() -> None:
    with torch.device("meta"):
        net = LRCN(101)
    convolutions = (
        (3 * 49 + 1) * 96
        + (48 * 25 + 1) * 384
        + (384 * 9 + 1) * 512
        + (256 * 9 + 1) * 512
        + (256 * 9 + 1) * 384
    )
    fc6 = (13_824 + 1) * 4096
    lstm = 4 * 256 * (4096 + 256 + 2)
    assert parameter_count(net) == convolutions + fc6 + lstm + (256 + 1) * 101
    assert net.recurrent.dropout.p == 0.5
    assert (net.prediction, net.loss) == ("mean", "mean")


def test_lrcn_goes_from_pixels_to_the_mean_over_time_clips_and_crops() -> None:
    torch.manual_seed(0)
    net = LRCN(3, hidden=5, frame_network=tiny_frame_network(), width=4).eval()
    video = torch.randn(30, 3, 9, 9)
    clips = video[torch.from_numpy(every_window(30, lrcn.CLIP, lrcn.CLIP_STRIDE))]
    assert clips.shape == (3, 16, 3, 9, 9)
    each, _ = net.steps(clips)
    expected = each.softmax(2).mean((0, 1))
    torch.testing.assert_close(mean_over_views(net(clips)[None]).softmax(1)[0], expected)


def test_flow_weighs_two_thirds() -> None:
    rgb, flow = torch.randn(4, 5), torch.randn(4, 5)
    expected = 0.33 * rgb.softmax(1) + 0.67 * flow.softmax(1)
    torch.testing.assert_close(fuse(rgb, flow).softmax(1), expected)


@pytest.mark.slow
def test_lrcn_runs_at_its_own_size_and_its_first_layer_learns() -> None:
    torch.manual_seed(0)
    net = LRCN(4)
    (loss,) = net.losses(torch.randn(1, 2, 3, lrcn.SIZE, lrcn.SIZE), torch.tensor([1]))
    loss.backward()
    assert net.frame_network.conv1.weight.grad.abs().max() > 0


def moving_dots(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """(count, 6, 3, 8, 8): a bright column that goes right (1) or left (0) from a random place."""
    rng = torch.Generator().manual_seed(seed)
    start = torch.randint(2, (count,), generator=rng)
    frames = 0.05 * torch.rand(count, 6, 3, 8, 8, generator=rng)
    for row in range(count):
        for t in range(6):
            frames[row, t, :, :, int(start[row]) + t] += 1
    flip = torch.rand(count, generator=rng) < 0.5
    frames[flip] = frames[flip].flip(1)
    return frames, (~flip).long()


@pytest.mark.parametrize("kind", ["lrcn", "convnet-lstm"])
def test_from_pixels_it_learns_which_way_something_moves(kind: str) -> None:
    """Each frame alone says nothing: both ways hold the same frames."""
    torch.manual_seed(0)
    frame = nn.Sequential(nn.Conv2d(3, 8, (8, 1)), nn.ReLU(), nn.Flatten())
    net: FrameSequence
    if kind == "lrcn":
        net = LRCN(2, hidden=16, frame_network=frame, width=64, dropout=(0, 0.2))
    else:
        net = ConvNetLSTM(frame, 64, 2, hidden=16)
    train(net, *moving_dots(200, 0), epochs=6, rate=0.01, size=25)
    assert accuracy(net, *moving_dots(100, 1)) == 1
