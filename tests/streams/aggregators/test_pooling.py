"""Average, maximum, learned consensus, and conv pooling with its variants."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sequence_toys import accuracy, order_videos, parameter_count, train
from torch import Tensor

from storage.errors import UserError
from streams.aggregators.conv_pooling import ConvPooling, Variant
from streams.aggregators.pooling import Pooling, PoolingRule
from streams.networks.consensus import Consensus

RULES, VARIANTS = get_args(PoolingRule), get_args(Variant)


def conv_pooling(variant: str, **options: object) -> ConvPooling:
    torch.manual_seed(0)
    sizes = {"places": (2, 2), "hidden": 8, "window": 4, "stride": 2, "frames": 12} | options
    return ConvPooling(3, 5, variant=variant, **sizes).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["average", "learned"])
@pytest.mark.parametrize("steps", [2, 3, 7, 12])
def test_pooled_features_and_pooled_scores_agree_with_the_consensus_of_streams(
    rule: str, steps: int
) -> None:
    """Of a linear classifier the weighted mean of logits is the logits of the weighted mean."""
    net = Pooling(4, 3, rule=rule, segments=3)  # type: ignore[arg-type]
    consensus = Consensus(rule, 3)  # type: ignore[arg-type]
    if rule == "learned":
        scores = torch.tensor([0.5, -1.0, 2.0])
        net.part_scores.data, consensus.weights.data = scores, scores
    x = torch.randn(2, steps, 4)
    torch.testing.assert_close(net(x), consensus.of_scores(net.head(x)))


def test_maximum_is_over_time_feature_by_feature() -> None:
    net = Pooling(4, 3, rule="max")
    x = torch.randn(2, 6, 4)
    torch.testing.assert_close(net(x), net.head(x.amax(1)))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.sampled_from(RULES))
def test_weights_sum_to_1_over_valid_steps(lengths: list[int], rule: str) -> None:
    net = Pooling(4, 3, rule=rule, segments=4)  # type: ignore[arg-type]
    x = torch.randn(len(lengths), 9, 4)
    weights = net.weights(x, torch.tensor(lengths))
    torch.testing.assert_close(weights.sum(1), torch.ones(len(lengths)))
    for row, length in zip(weights, lengths, strict=True):
        assert (row[length:] == 0).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_padded_video_is_the_video_alone(rule: str, length: int) -> None:
    net = Pooling(4, 3, rule=rule)  # type: ignore[arg-type]
    x = torch.full((2, 9, 4), float("nan"))
    x[0], x[1, :length] = torch.randn(9, 4) - 5, torch.randn(length, 4) - 5
    alone = net(x[1:, :length])
    torch.testing.assert_close(net(x, torch.tensor([9, length]))[1:], alone)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("length", [1, 3, 4, 5, 6, 7, 11])
def test_a_padded_video_is_the_video_alone_in_every_variant(variant: str, length: int) -> None:
    net = conv_pooling(variant)
    x = torch.full((2, 12, 3, 2, 2), float("nan"))
    x[0], x[1, :length] = torch.randn(12, 3, 2, 2) - 3, torch.randn(length, 3, 2, 2) - 3
    alone = net(x[1:, :length])
    torch.testing.assert_close(net(x, torch.tensor([12, length]))[1:], alone)


@pytest.mark.parametrize("variant", ["conv", "late"])
def test_the_order_of_frames_does_not_matter(variant: str) -> None:
    net, x = conv_pooling(variant), torch.randn(2, 11, 3, 2, 2)
    order = torch.randperm(11)
    torch.testing.assert_close(net(x[:, order]), net(x))
    weights = net.weights(x)
    assert weights is not None
    torch.testing.assert_close(net.weights(x[:, order]), weights[:, order])
    torch.testing.assert_close(weights.sum(1), torch.ones(2))


@pytest.mark.parametrize("variant", ["slow", "local", "time-domain"])
def test_the_order_of_frames_matters_to_windows(variant: str) -> None:
    net, x = conv_pooling(variant), torch.randn(2, 11, 3, 2, 2)
    order = torch.tensor([0, 7, 1, 8, 2, 9, 3, 10, 4, 6, 5])
    assert (net(x[:, order]) - net(x)).abs().max() > 1e-4
    assert net.weights(x) is None


@pytest.mark.parametrize("variant", ["conv", "late", "slow"])
def test_one_frame_is_the_single_frame_network(variant: str) -> None:
    net, x = conv_pooling(variant), torch.randn(2, 1, 3, 2, 2)
    single = net.head(net.fc2(net.fc1(x[:, 0].flatten(1))))
    torch.testing.assert_close(net(x), single)
    torch.testing.assert_close(net(x.expand(-1, 9, -1, -1, -1)), single)


def test_slow_and_local_pooling_look_at_windows_as_by_hand() -> None:
    x = torch.randn(1, 7, 3, 2, 2)
    flat = x.flatten(2)
    maxima = torch.stack([flat[:, i : i + 4].amax(1) for i in (0, 2, 4)], 1)
    slow = conv_pooling("slow")
    expected = slow.head(slow.fc2(slow.fc1(maxima).amax(1)))
    torch.testing.assert_close(slow(x), expected)
    local = conv_pooling("local")
    towers = local.fc2(local.fc1(maxima)).flatten(1)
    assert local.head.in_features == 5 * 8  # windows of 12 steps start at 0, 2, 4, 6, 8
    expected = torch.nn.functional.linear(towers, local.head.weight[:, :24], local.head.bias)
    torch.testing.assert_close(local(x), expected)


def test_time_domain_convolution_as_in_the_paper() -> None:
    with torch.device("meta"):
        net = ConvPooling(1024, 400, variant="time-domain", places=(7, 7))
    assert net.conv.weight.shape == (256, 1024, 10, 3, 3)
    assert net.conv.stride == (5, 1, 1)
    assert net.towers(120) == 23
    # T = 10 is one window: the convolution's plain value, its maximum is itself
    small = conv_pooling("time-domain")
    x = torch.randn(1, 4, 3, 2, 2)
    y = small.conv(x.transpose(1, 2)).relu()
    assert y.shape[2] == 1
    torch.testing.assert_close(small(x), small.head(small.fc2(small.fc1(y.flatten(1)))))


def test_conv_pooling_has_two_layers_of_4096() -> None:
    with torch.device("meta"):
        net = ConvPooling(1024, 101, places=(7, 7))
    expected = (1024 * 49 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 101
    assert parameter_count(net) == expected


@pytest.mark.parametrize(
    "net",
    [Pooling(6, 2), Pooling(6, 2, rule="max"), ConvPooling(6, 2, hidden=16)],
    ids=["average", "max", "conv"],
)
def test_without_order_it_stays_at_one_half(net: Pooling | ConvPooling) -> None:
    torch.manual_seed(0)
    train(net, *order_videos(200, 0), epochs=5, rate=0.01, size=50)
    assert accuracy(net, *order_videos(100, 1)) == pytest.approx(0.5, abs=0.02)


def marks(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """(count, 40, 8): one step has a mark in feature 0 or 1, by class."""
    rng = torch.Generator().manual_seed(seed)
    x = 0.5 * torch.randn(count, 40, 8, generator=rng)
    labels = torch.randint(2, (count,), generator=rng)
    at = torch.randint(40, (count,), generator=rng)
    x[torch.arange(count), at, labels] = 3
    return x, labels, at


def test_the_maximum_finds_a_mark_in_one_step_of_40() -> None:
    torch.manual_seed(0)
    net = Pooling(8, 2, rule="max")
    train(net, *marks(300, 0)[:2], epochs=10, rate=0.05)
    x, labels, at = marks(200, 1)
    assert accuracy(net, x, labels) > 0.98
    assert (net.weights(x)[torch.arange(200), at] >= 1 / 8).all()  # the mark is the largest there


def small(**options: object) -> Tensor:
    return conv_pooling("local", **options)(torch.zeros(1, 13, 3, 2, 2))


def test_what_cannot_be_pooled_is_refused() -> None:
    with pytest.raises(UserError, match="built for 12 steps, not 13"):
        small()
    with pytest.raises(UserError, match=r"maps of \(3, 3\), not \(2, 2\)"):
        small(places=(3, 3))
    with pytest.raises(
        UserError, match="variant=global is not one of conv, late, slow, local, time-domain"
    ):
        conv_pooling("global")
    with pytest.raises(UserError, match="average, max, learned, not 'mean'"):
        Pooling(3, 2, rule="mean")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="from 1 to the window, 4"):
        conv_pooling("slow", stride=5)
