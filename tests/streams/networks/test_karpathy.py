"""Karpathy's four: the paper's sizes, and what each gives on a video that does not move."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks import fill, karpathy
from streams.networks.learnable import learnable, set_learnable
from streams.networks.network import Network
from streams.networks.stream_net import StreamNet

BUILD: dict[str, Callable[..., Network]] = {
    "single": karpathy.build_single,
    "late": karpathy.build_late,
    "early": karpathy.build_early,
    "slow": karpathy.build_slow,
}
FRAMES = {"single": 1, "late": 16, "early": 10, "slow": 10}
WIDTH = 1 / 16


def numbers(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def small(name: str, **options: object) -> Network:
    """A narrow one with weights of its own in every layer, biases and norms included."""
    torch.manual_seed(len(name))
    net = BUILD[name](3, 5, **{"size": 64, "width": WIDTH, **options}).eval()
    net.name = f"karpathy-{name}"
    with torch.no_grad():
        for tensor in (*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())):
            if tensor.ndim == 1:
                tensor.add_(torch.rand_like(tensor) / 2)
        net.head.weight.normal_(std=0.3)
    return net


def still(frames: int, size: int = 64) -> Tensor:
    """The same picture again and again."""
    torch.manual_seed(7)
    return torch.randn(2, 3, 1, size, size).expand(-1, -1, frames, -1, -1)


def start_at(net: Network, single: Network, frame: int) -> None:
    """The single frame's weights on one of the frames (or towers) that a layer sees, else 0."""
    state = net.state_dict()
    for name, given in single.state_dict().items():
        if state[name].shape == given.shape:
            state[name].copy_(given)
        elif given.ndim == 5:
            state[name].zero_()[:, :, frame] = given[:, :, 0]
        else:
            state[name].zero_()[:, frame * given.shape[1] : (frame + 1) * given.shape[1]] = given


# Arithmetic: filters x (channels x frames x height x width) + a bias each.
CONV = {
    "conv1": 96 * (3 * 11 * 11) + 96,
    "conv2": 256 * (96 * 5 * 5) + 256,
    "conv3": 384 * (256 * 3 * 3) + 384,
    "conv4": 384 * (384 * 3 * 3) + 384,
    "conv5": 256 * (384 * 3 * 3) + 256,
}
FULL = (4096 * (256 * 7 * 7) + 4096) + (4096 * 4096 + 4096) + (487 * 4096 + 487)
SINGLE = sum(CONV.values()) + FULL
PUBLISHED = {
    "single": SINGLE,
    "late": SINGLE + 4096 * (256 * 7 * 7),
    "early": SINGLE + 9 * 96 * (3 * 11 * 11),
    "slow": SINGLE + 3 * 96 * (3 * 11 * 11) + 1 * 256 * (96 * 5 * 5) + 1 * 384 * (256 * 3 * 3),
}


def test_the_arithmetic_is_this() -> None:
    assert PUBLISHED == {
        "single": 73_908_071,
        "late": 125_288_295,
        "early": 74_221_703,
        "slow": 75_511_751,
    }


@pytest.mark.parametrize("name", BUILD)
def test_parameters_of_the_network_of_the_paper(name: str) -> None:
    with torch.device("meta"):
        net = BUILD[name](3, 487)
    assert numbers(net) == PUBLISHED[name]
    assert net.frames == FRAMES[name]
    assert net.shape() == (3, FRAMES[name], 170, 170)


@pytest.mark.parametrize("name", BUILD)
def test_the_map_before_the_classifier_is_the_paper_s(name: str) -> None:
    """7 x 7 x 256 at 170 px."""
    with torch.device("meta"):
        net = BUILD[name](3, 487)
    at = {stage.name: stage for stage in net.stages()}
    times = 2 if name == "late" else 1
    assert (at["pool5"].width, at["pool5"].size) == (256, (times, 7, 7))
    assert at["conv1"].size[1:] == (57, 57)
    assert [at[f"pool{i}"].size[1] for i in (1, 2)] == [28, 14]


def test_the_half_sized_streams_of_the_paper_end_in_the_same_map() -> None:
    """Its fovea and context streams of 89 px leave out the last pooling: 7 x 7 x 256 too."""
    with torch.device("meta"):
        net = karpathy.build_single(3, 487, size=89)
    assert {s.name: s.size for s in net.stages()}["relu5"] == (1, 7, 7)


def test_slow_fusion_halves_time_three_times() -> None:
    with torch.device("meta"):
        net = karpathy.build_slow(3, 487)
    times = {stage.name: stage.size[0] for stage in net.stages()}
    assert [times[f"conv{i}"] for i in (1, 2, 3, 4, 5)] == [4, 2, 1, 1, 1]


def test_local_response_normalisation_is_that_of_alexnet() -> None:
    """b_i = a_i / (2 + 1e-4 sum a_j^2)^.5, over the five channels around i."""
    norm, maps = small("slow").backbone.norm1, 100 * torch.randn(1, 7, 2, 3, 3)
    around = [maps[:, max(0, i - 2) : i + 3].square().sum(1) for i in range(7)]
    truth = maps / (2 + 1e-4 * torch.stack(around, 1)).sqrt()
    torch.testing.assert_close(norm(maps), truth, atol=1e-5, rtol=1e-5)


def test_every_frame_reaches_the_answer_of_slow_fusion() -> None:
    net = small("slow")
    clip = still(10).clone().requires_grad_()
    net(clip).sum().backward()
    assert clip.grad is not None
    assert (clip.grad.abs().amax((0, 1, 3, 4)) > 0).all()


@pytest.mark.parametrize("norm", ["lrn", "batch"])
@pytest.mark.parametrize("name", ["late", "early", "slow"])
def test_a_still_video_gives_what_its_image_gives(name: str, norm: str) -> None:
    single, net = small("single", norm=norm), small(name, norm=norm)
    said = fill(net, single.state_dict(), "the single frame")
    spread = "both towers weigh alike" if name == "late" else "kernels repeated over time"
    assert said.startswith(spread)
    with torch.no_grad():
        image, video = single(still(1)), net(still(net.frames))
    assert image.std() > 0.1
    torch.testing.assert_close(video, image, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frame", [0, 4, 9])
def test_early_fusion_with_its_weight_on_one_frame_is_the_single_frame(frame: int) -> None:
    single, net = small("single"), small("early")
    start_at(net, single, frame)
    clip = torch.randn(2, 3, 10, 64, 64)
    with torch.no_grad():
        images = [single(clip[:, :, [t]]) for t in range(10)]
        answer = net(clip)
    torch.testing.assert_close(answer, images[frame], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(answer, images[frame - 1], atol=1e-2)


def test_late_fusion_that_weighs_its_towers_alike_is_their_mean() -> None:
    """Where the towers meet, which is before the first rectifier behind them."""
    single, net = small("single"), small("late")
    fill(net, single.state_dict(), "the single frame")
    clip = torch.randn(2, 3, 16, 64, 64)
    with torch.no_grad():
        ends = [single.until(clip[:, :, [t]], "fc6") for t in (0, 15)]
        torch.testing.assert_close(
            net.until(clip, "fc6"), (ends[0] + ends[1]) / 2, atol=1e-5, rtol=1e-5
        )
        assert not torch.allclose(ends[0], ends[1], atol=1e-2)


@pytest.mark.parametrize(("frame", "seen"), [(0, 0), (1, 15)])
def test_late_fusion_with_one_tower_is_the_single_frame(frame: int, seen: int) -> None:
    single, net = small("single"), small("late")
    start_at(net, single, frame)
    clip = torch.randn(2, 3, 16, 64, 64)
    with torch.no_grad():
        image = single(clip[:, :, [seen]])
        torch.testing.assert_close(net(clip), image, atol=1e-5, rtol=1e-5)


def test_late_fusion_sees_nothing_between_its_towers() -> None:
    net, clip = small("late", grid=1), torch.randn(2, 3, 16, 64, 64)
    other = clip.clone()
    other[:, :, 1:-1] = torch.randn(2, 3, 14, 64, 64)
    with torch.no_grad():
        assert torch.equal(net(clip), net(other))
        assert torch.equal(net(clip), net(clip[:, :, [0, -1]]))
        assert not torch.equal(net(clip), net(clip.flip(2)))


@pytest.mark.parametrize("size", [64, 90, 112])
@pytest.mark.parametrize("name", BUILD)
def test_small_pictures(name: str, size: int) -> None:
    """Built for the size, or with a grid, which takes any."""
    clip = torch.randn(2, 3, FRAMES[name], size, size)
    with torch.no_grad():
        assert small(name, size=size)(clip).shape == (2, 5)
        assert small(name, grid=2)(clip).shape == (2, 5)


def test_the_answer_is_that_of_the_parts_in_a_row() -> None:
    net, clip = small("slow"), torch.randn(2, 3, 10, 64, 64)
    with torch.no_grad():
        maps = net.until(clip, "pool2")
        features = net.after(maps, "pool2")
        assert torch.equal(features, net.features(clip))
        assert torch.equal(net.classify(features), net(clip))
    assert features.shape == (2, 256)
    assert net.first == "backbone.conv1"
    assert len(small("slow", norm="batch").norms) == 5


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["lrn", "batch"])
def test_slow_fusion_learns_a_direction_that_no_frame_shows(norm: str) -> None:
    """Noise that rolls to the left or to the right."""
    torch.manual_seed(0)
    net = karpathy.build_slow(1, 2, size=32, norm=norm, width=1 / 8, dropout=0.0)  # type: ignore[arg-type]
    adam = torch.optim.Adam(net.parameters(), 1e-3)

    def clips(count: int) -> tuple[Tensor, Tensor]:
        picture = torch.randn(count, 1, 32, 32).repeat_interleave(4, 3)[..., :32]
        label = torch.arange(count) % 2
        steps = (2 * label - 1) * 3
        rolled = [
            torch.stack([p.roll(int(s) * t, -1) for t in range(10)], 1)
            for p, s in zip(picture, steps, strict=True)
        ]
        return torch.stack(rolled), label

    for _ in range(60):
        clip, label = clips(16)
        adam.zero_grad()
        nn.functional.cross_entropy(net(clip), label).backward()
        adam.step()
    clip, label = clips(64)
    with torch.no_grad():
        right = (net.eval()(clip).argmax(1) == label).float().mean()
    assert right > 0.8


def test_bad_input_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"clips of 10 frames, not 9"):
        small("early", grid=1)(torch.zeros(1, 3, 9, 64, 64))
    with pytest.raises(UserError, match=r"\(3, 10, 64, 64\) only"):
        small("slow")(torch.zeros(1, 3, 10, 80, 80))
    with pytest.raises(UserError, match="20 px leaves no map"):
        karpathy.build_single(3, 5, size=20)
    with pytest.raises(UserError, match="at least 2 frames"):
        karpathy.build_late(3, 5, frames=1)
    with pytest.raises(UserError, match="--extra norm=group is not one of lrn, batch"):
        karpathy.build_single(3, 5, norm="group")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="holds norm1"):
        fill(small("slow"), small("single", norm="batch").state_dict(), "the single frame")
    with pytest.raises(UserError, match=r"fc6.weight has shape .*another size or other steps"):
        fill(small("early"), small("single", size=112).state_dict(), "the single frame")


def test_the_smallest_size_leaves_a_map() -> None:
    net = small("single", size=karpathy.SMALLEST)
    assert net(torch.zeros(1, 3, 1, karpathy.SMALLEST, karpathy.SMALLEST)).shape == (1, 5)


def test_which_layers_learn() -> None:
    net = small("slow", norm="batch")
    head = ("head.weight", "head.bias")
    full = ("backbone.fc6.weight", "backbone.fc6.bias", "backbone.fc7.weight", "backbone.fc7.bias")
    assert learnable(net, "top") == head
    assert learnable(net, "top3") == (*full, *head)
    assert learnable(net, "all") == tuple(name for name, _ in net.named_parameters())


def test_a_step_moves_just_the_layers_that_learn() -> None:
    net = small("early", norm="batch")
    stream = StreamNet(net, learn="top3").train()
    assert not any(norm.training for norm in net.norms)
    assert stream.training
    before = {name: value.clone() for name, value in net.state_dict().items()}
    sgd = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1)
    net(torch.randn(4, 3, 10, 64, 64)).square().sum().backward()
    sgd.step()
    moved = {
        name for name, value in net.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == set(learnable(net, "top3"))
    set_learnable(net, "all")
    assert all(p.requires_grad for p in net.parameters())


def test_top_three_of_a_network_with_norms_takes_the_norms_behind_them() -> None:
    parts = {
        "conv1": nn.Conv2d(3, 4, 3),
        "norm1": nn.BatchNorm2d(4),
        "conv2": nn.Conv2d(4, 4, 3),
        "norm2": nn.BatchNorm2d(4),
        "conv3": nn.Conv2d(4, 4, 3),
        "norm3": nn.BatchNorm2d(4),
        "pool": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    }
    net = Network(parts, nn.Linear(4, 2), channels=3, size=16)
    first = learnable(net, "top3")[0]
    assert first == "backbone.conv2.weight"
    assert "backbone.norm2.weight" in learnable(net, "top3")
    StreamNet(net, learn="top3").train()
    assert [norm.training for norm in net.norms] == [False, True, True]
    StreamNet(net, learn="top").train()
    assert not any(norm.training for norm in net.norms)


def test_a_network_without_classifier_has_no_top() -> None:
    net = Network({"conv": nn.Conv2d(3, 4, 3)}, nn.Identity(), channels=3, size=16)
    with pytest.raises(UserError, match="has none"):
        learnable(net, "top")
    with pytest.raises(UserError, match="top4 is not one of top, top3, all"):
        learnable(net, "top4")  # type: ignore[arg-type]
