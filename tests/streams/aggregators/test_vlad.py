"""ActionVLAD against its definition, and against the hard assignment that it softens."""

from __future__ import annotations

import pytest
import torch
from sequence_toys import accuracy, order_videos, parameter_count, train
from torch import Tensor
from torch.nn import functional

from storage.errors import UserError
from streams.aggregators.pooling import Pooling
from streams.aggregators.vlad import VLAD, ActionVLAD, Fusion, k_means


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def by_definition(x: Tensor, centres: Tensor, alpha: float | None) -> Tensor:
    """Descriptors (M, D) of one video: sums written out; alpha None is the hard assignment."""
    sums = torch.zeros_like(centres)
    for point in unit(x):
        distances = (point - centres).square().sum(1)
        if alpha is None:
            sums[distances.argmin()] += point - centres[distances.argmin()]
        else:
            # the nearest distance is taken off so that exp() does not underflow everywhere
            share = (-alpha * (distances - distances.min())).exp()
            sums += (share / share.sum())[:, None] * (point - centres)
    normed = torch.stack([row / row.norm() if row.norm() > 0 else row for row in sums])
    return (normed / normed.norm()).flatten()


def vlad(centres: Tensor, alpha: float = 1000.0) -> VLAD:
    layer = VLAD(centres.shape[1], len(centres), alpha).to(centres.dtype)
    layer.set_centres(centres)
    return layer


def everything(x: Tensor) -> Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


@pytest.mark.parametrize("alpha", [1.0, 30.0, 1000.0])
def test_it_is_the_softmax_sum_written_out(alpha: float) -> None:
    torch.manual_seed(0)
    x, centres = torch.randn(2, 40, 6).double(), unit(torch.randn(5, 6)).double()
    result = vlad(centres, alpha)(x, everything(x))
    for row, points in zip(result, x, strict=True):
        torch.testing.assert_close(row, by_definition(points, centres, alpha))


def test_the_convolution_holds_2_alpha_c_and_minus_alpha_c_squared() -> None:
    centres = torch.randn(5, 6)
    layer = vlad(centres)
    torch.testing.assert_close(layer.assign_weight, 2000 * centres)
    torch.testing.assert_close(layer.assign_bias, -1000 * centres.norm(dim=1) ** 2)


def test_it_is_the_hard_sum_away_from_ties_and_not_at_one() -> None:
    torch.manual_seed(1)
    centres = unit(torch.randn(4, 6)).double()
    x = unit(torch.randn(400, 6)).double()
    distances = (x[:, None] - centres).square().sum(2).sort(1).values
    clear = x[distances[:, 1] - distances[:, 0] > 0.04]  # e^-40 is left to the second centre
    assert len(clear) > 300
    result = vlad(centres)(clear[None], everything(clear[None]))[0]
    torch.testing.assert_close(result, by_definition(clear, centres, None))
    tie = unit(centres[:1] + centres[1:2])
    result = vlad(centres)(tie[None], everything(tie[None]))[0]
    assert (result - by_definition(tie, centres, None)).abs().max() > 0.3


def test_the_papers_size_is_32768_numbers_of_length_1_alike_in_every_cluster() -> None:
    torch.manual_seed(0)
    net = ActionVLAD(512, 101)
    x, mask = net.prepare(torch.randn(1, 25, 512, 3, 3), None)
    (row,) = net.features(x, mask)
    assert row.shape == (1, 32_768)
    torch.testing.assert_close(row.norm(), torch.tensor(1.0))
    parts = row.view(64, 512).norm(dim=1)
    torch.testing.assert_close(parts[parts > 0], parts.max().expand(int((parts > 0).sum())))
    assert parameter_count(net) == 2 * 64 * 512 + 64 + (32_768 + 1) * 101


def test_places_and_times_are_one_set_and_padding_is_not_in_it() -> None:
    torch.manual_seed(0)
    net = ActionVLAD(6, 3, clusters=4, alpha=10).eval()
    x = torch.randn(2, 5, 6, 3, 3)
    shuffled = x.flatten(3).transpose(2, 3).flatten(1, 2)[:, torch.randperm(45)]
    torch.testing.assert_close(net(shuffled), net(x))
    padded = x.clone()
    padded[1, 2:] = float("nan")
    torch.testing.assert_close(net(padded, torch.tensor([5, 2]))[1:], net(x[1:, :2]))


@pytest.mark.parametrize(
    ("fusion", "sizes"), [("concatenated", [12]), ("early", [6]), ("late", [6, 6])]
)
def test_two_streams(fusion: Fusion, sizes: list[int]) -> None:
    torch.manual_seed(0)
    net = ActionVLAD(12, 3, clusters=4, alpha=10, widths=[6, 6], fusion=fusion).eval()
    assert [layer.centres.shape for layer in net.vocabularies] == [(4, size) for size in sizes]
    rgb, flow = torch.randn(2, 5, 6, 3, 3), torch.randn(2, 5, 6, 3, 3)
    x = torch.cat([rgb, flow], 2)
    if fusion == "concatenated":
        expected = net.features(x, torch.ones(2, 5, dtype=torch.bool))[0]
        torch.testing.assert_close(
            net.vocabularies[0](
                x.permute(0, 1, 3, 4, 2).flatten(1, 3), torch.ones(2, 45, dtype=torch.bool)
            ),
            expected,
        )
    elif fusion == "early":
        # one vocabulary: it does not know the streams apart, and twice as many steps are the same
        swapped = torch.cat([flow, rgb], 2)
        torch.testing.assert_close(net(swapped), net(x))
        alone = ActionVLAD(6, 3, clusters=4, alpha=10).eval()
        alone.load_state_dict(net.state_dict())
        torch.testing.assert_close(alone(torch.cat([rgb, flow], 1)), net(x))
    else:
        probabilities = []
        for layer, head, stream in zip(net.vocabularies, net.heads, (rgb, flow), strict=True):
            points = stream.permute(0, 1, 3, 4, 2).flatten(1, 3)
            probabilities.append(head(layer(points, everything(points))).softmax(1))
        torch.testing.assert_close(net(x).softmax(1), torch.stack(probabilities).mean(0))


def test_late_fusion_trains_each_stream_as_if_alone() -> None:
    torch.manual_seed(0)
    net = ActionVLAD(8, 3, clusters=4, widths=[5, 3], fusion="late", dropout=0)
    x, labels = torch.randn(2, 5, 8, 2, 2), torch.tensor([0, 2])
    (loss,) = net.losses(x, labels)
    streams = net.stream_logits(*net.prepare(x, None))
    expected = sum(functional.cross_entropy(part, labels) for part in streams)
    torch.testing.assert_close(loss, expected)
    weighted = ActionVLAD(8, 3, clusters=4, widths=[5, 3], fusion="late", stream_weights=[1, 2])
    torch.testing.assert_close(weighted.stream_weights, torch.tensor([1 / 3, 2 / 3]))


def test_k_means_finds_directions_and_repeats_with_its_seed() -> None:
    torch.manual_seed(0)
    directions = torch.eye(6)[:4]
    points = directions.repeat(200, 1) * torch.rand(800, 1).add(0.5) + 0.02 * torch.randn(800, 6)
    points[:7] = 0  # a dead map has no direction
    centres = k_means(points, 4, seed=3)
    nearest = (directions @ centres.T).max(1)
    assert (nearest.values > 0.99).all()
    assert nearest.indices.unique().numel() == 4
    assert torch.equal(centres, k_means(points, 4, seed=3))


def test_centres_come_from_the_valid_descriptors_of_each_stream() -> None:
    torch.manual_seed(0)
    net = ActionVLAD(8, 3, clusters=4, widths=[5, 3], fusion="late")
    x = torch.randn(3, 6, 8, 2, 2)
    x[0, 2:] = float("nan")
    samples = net.samples(x, torch.tensor([2, 6, 6]))
    assert [part.shape for part in samples] == [(14 * 4, 5), (14 * 4, 3)]
    net.set_centres(samples, seed=1)
    for layer, part in zip(net.vocabularies, samples, strict=True):
        torch.testing.assert_close(layer.centres.data, k_means(part, 4, seed=1))
        torch.testing.assert_close(layer.assign_weight, 2000 * layer.centres)


def test_centres_assignment_and_the_network_before_learn() -> None:
    torch.manual_seed(0)
    net = ActionVLAD(6, 3, clusters=4, alpha=10)
    maps = torch.randn(2, 5, 6, 3, 3, requires_grad=True)
    (loss,) = net.losses(maps, torch.tensor([0, 2]))
    loss.backward()
    layer = net.vocabularies[0]
    for value in (maps, layer.centres, layer.assign_weight, layer.assign_bias):
        assert value.grad is not None
        assert value.grad.isfinite().all()
        assert value.grad.abs().max() > 0


def test_half_precision_around_it_does_not_touch_the_assignment() -> None:
    torch.manual_seed(0)
    centres, x = unit(torch.randn(8, 16)), torch.randn(2, 50, 16)
    layer = vlad(centres)
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(x, everything(x))
    torch.testing.assert_close(result, layer(x, everything(x)))


def test_empty_clusters_and_dead_maps_give_no_nan() -> None:
    net = ActionVLAD(6, 3, clusters=4)
    maps = torch.zeros(1, 2, 6, 2, 2, requires_grad=True)
    (loss,) = net.losses(maps, torch.tensor([1]))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_order_is_beyond_it() -> None:
    torch.manual_seed(0)
    x, labels = order_videos(200, 0)
    net = ActionVLAD(6, 2, clusters=8)
    net.set_centres(net.samples(x))
    train(net, x, labels, epochs=3, rate=0.01, size=100)
    assert accuracy(net, *order_videos(100, 1)) == pytest.approx(0.5, abs=0.02)


def mixtures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """(count, 12, 4): steps along one axis or another, by class, as often one way as the other."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=rng)
    x = 0.1 * torch.randn(count, 12, 4, generator=rng)
    signs = torch.tensor([1.0, -1.0]).repeat(6)
    x[torch.arange(count)[:, None], torch.arange(12)[None], labels[:, None]] += signs
    return x, labels


def test_it_tells_sets_apart_whose_means_are_equal() -> None:
    torch.manual_seed(0)
    x, labels = mixtures(200, 0)
    net = ActionVLAD(4, 2, clusters=4)
    net.set_centres(net.samples(x))
    average = Pooling(4, 2)
    for one in (net, average):
        train(one, x, labels, epochs=5, rate=0.02, size=50)
    assert accuracy(net, *mixtures(200, 1)) == 1
    assert accuracy(average, *mixtures(200, 1)) < 0.65


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "sum"}, "concatenated, early, late"),
        ({"widths": [3, 4]}, r"streams of \[3, 4\] features must have 6 together"),
        ({"widths": [2, 4], "fusion": "early"}, "must be alike"),
        ({"clusters": 0}, "--extra clusters=0"),
        ({"stream_weights": [1.0, 2.0]}, "1 weights of streams"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ActionVLAD(6, 3, **options)


def test_too_few_descriptors_are_refused() -> None:
    with pytest.raises(UserError, match="3 descriptors other than zero"):
        k_means(torch.cat([torch.randn(3, 5), torch.zeros(9, 5)]), 4)
    with pytest.raises(UserError, match="finite"):
        k_means(torch.full((9, 5), torch.inf), 4)
    with pytest.raises(UserError, match="2 sets of descriptors for 1"):
        ActionVLAD(6, 3).set_centres([torch.randn(99, 6)] * 2)
