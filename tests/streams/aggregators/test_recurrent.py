"""LSTM and GRU: counts, weights over time, masks, truncated gradients, and what they can learn."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sequence_toys import accuracy, order_videos, parameter_count, train
from torch import Tensor, nn
from torch.nn import functional

from storage.errors import UserError
from streams.aggregators.recurrent import Recurrent, StepNorm, deep_lstm
from streams.aggregators.stepwise import (
    StepRule,
    detached,
    mean_probability,
    step_weights,
)

RULES = get_args(StepRule)


def mask_of(lengths: list[int], steps: int) -> Tensor:
    return torch.arange(steps) < torch.tensor(lengths)[:, None]


def gradients(net: Recurrent, x: Tensor, labels: Tensor, lengths: Tensor) -> list[Tensor]:
    net.zero_grad()
    for loss in net.losses(x, labels, lengths):
        loss.backward()
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def test_the_deep_lstm_has_the_published_size() -> None:
    with torch.device("meta"):
        net = deep_lstm(1024, 400)
    assert parameter_count(net) - parameter_count(net.head) == 11_554_816


@pytest.mark.parametrize(("cell", "kind"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
@pytest.mark.parametrize("layers", [1, 3])
def test_it_is_torchs_own_network_of_that_depth(cell: str, kind: type, layers: int) -> None:
    net = Recurrent(5, 3, cell=cell, hidden=7, layers=layers).eval()  # type: ignore[arg-type]
    whole = kind(5, 7, layers, batch_first=True)
    for i, layer in enumerate(net.layers):
        for name, value in layer.named_parameters():
            getattr(whole, name.replace("l0", f"l{i}")).data.copy_(value.data)
    x = torch.randn(2, 6, 5)
    torch.testing.assert_close(net.steps(x)[0], net.head(whole(x)[0]))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("last", [0, 0, 0, 1]),
        ("mean", [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        ("rising", [0.1, 0.2, 0.3, 0.4]),
        ("gain", [0, 1 / 6, 2 / 6, 3 / 6]),
    ],
)
def test_weights_of_four_steps(rule: StepRule, expected: list[float]) -> None:
    weights = step_weights(rule, mask_of([4, 1], 5))
    torch.testing.assert_close(weights[0], torch.tensor([*expected, 0.0]))
    torch.testing.assert_close(weights[1], torch.tensor([1.0, 0, 0, 0, 0]))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.sampled_from(RULES))
def test_weights_never_fall_sum_to_1_and_end_with_the_video(
    lengths: list[int], rule: StepRule
) -> None:
    weights = step_weights(rule, mask_of(lengths, 30))
    torch.testing.assert_close(weights.sum(1), torch.ones(len(lengths)))
    for row, length in zip(weights, lengths, strict=True):
        assert (row[:length].diff() >= 0).all()
        assert (row[length:] == 0).all()
        if rule in ("rising", "gain") and length > 1:
            assert (row[:length].diff() > 0).all()


def test_the_gain_goes_from_0_to_1() -> None:
    weights = step_weights("gain", mask_of([30], 30))[0]
    torch.testing.assert_close(weights / weights[-1], torch.linspace(0, 1, 30))


def test_a_prediction_is_the_weighted_mean_of_probabilities() -> None:
    logits = torch.randn(3, 5, 4)
    weights = torch.rand(3, 5).softmax(1)
    expected = (logits.softmax(2) * weights[:, :, None]).sum(1)
    torch.testing.assert_close(mean_probability(logits, weights).softmax(1), expected)


@pytest.mark.parametrize("rule", RULES)
def test_prediction_and_loss_follow_the_rule(rule: StepRule) -> None:
    net = Recurrent(4, 3, hidden=5, prediction=rule, loss=rule)
    x, lengths, labels = torch.randn(2, 6, 4), torch.tensor([6, 4]), torch.tensor([2, 0])
    each, _ = net.steps(x, lengths)
    share = step_weights(rule, mask_of([6, 4], 6))
    expected = (each.softmax(2) * share[:, :, None]).sum(1)
    torch.testing.assert_close(net(x, lengths).softmax(1), expected)
    (loss,) = net.losses(x, labels, lengths)
    logs = torch.stack([each[i].log_softmax(1)[:, labels[i]] for i in range(2)])
    torch.testing.assert_close(loss, -(logs * share).sum(1).mean())


def test_the_maximum_is_each_classs_most_probable_step() -> None:
    net = Recurrent(4, 3, hidden=5, prediction="max")
    x, lengths = torch.randn(2, 6, 4), torch.tensor([6, 4])
    probabilities = net.steps(x, lengths)[0].softmax(2)
    expected = torch.stack([probabilities[0].amax(0), probabilities[1, :4].amax(0)])
    torch.testing.assert_close(net(x, lengths).exp(), expected)


def test_a_step_of_no_weight_gets_no_gradient_and_no_nan() -> None:
    logits = torch.randn(1, 3, 2, requires_grad=True)
    loss = functional.cross_entropy(
        mean_probability(logits, step_weights("last", mask_of([2], 3))), torch.tensor([1])
    )
    (grad,) = torch.autograd.grad(loss, logits)
    assert torch.equal(grad[0, [0, 2]], torch.zeros(2, 2))
    assert (grad[0, 1].abs() > 0).all()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("training", [True, False])
def test_what_stands_behind_the_end_changes_nothing(cell: str, norm: str, training: bool) -> None:
    torch.manual_seed(0)
    net = Recurrent(4, 3, cell=cell, hidden=6, layers=2, norm=norm)  # type: ignore[arg-type]
    net.train(training)
    x, labels = torch.randn(3, 7, 4), torch.tensor([0, 1, 2])
    lengths = torch.tensor([7, 3, 1])
    other = x.clone()
    other[1, 3:], other[2, 1:] = float("nan"), 1e9
    assert torch.equal(net(x, lengths), net(other, lengths))
    for one, two in zip(
        gradients(net, x, labels, lengths), gradients(net, other, labels, lengths), strict=True
    ):
        assert torch.equal(one, two)
        assert one.isfinite().all()
    if norm == "none" or not training:
        torch.testing.assert_close(net(x, lengths)[1:2], net(x[1:2, :3]))


def test_batch_norm_takes_its_statistics_from_valid_steps() -> None:
    x = torch.randn(3, 5, 4) * 3 + 1
    mask = mask_of([5, 2, 3], 5)
    norm = StepNorm(4)
    y = norm(x, mask)
    plain = nn.BatchNorm1d(4, affine=False)
    torch.testing.assert_close(y[mask], plain(x[mask]))
    torch.testing.assert_close(norm.running_var, plain.running_var)
    assert (y[~mask] == 0).all()


def test_batch_norm_of_a_single_step_uses_the_running_statistics() -> None:
    norm = StepNorm(4)
    x = torch.randn(1, 1, 4)
    torch.testing.assert_close(norm(x), x, atol=1e-4, rtol=1e-4)
    assert torch.equal(norm.running_mean, torch.zeros(4))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("truncation", [9, 10, 1000])
def test_truncation_at_or_beyond_the_end_is_the_full_gradient(
    cell: str, norm: str, truncation: int
) -> None:
    torch.manual_seed(1)
    net = Recurrent(4, 3, cell=cell, hidden=6, layers=2, norm=norm)  # type: ignore[arg-type]
    x, labels, lengths = torch.randn(3, 9, 4), torch.tensor([0, 1, 2]), torch.tensor([9, 5, 2])
    full = gradients(net, x, labels, lengths)
    net.truncation = truncation
    for one, two in zip(gradients(net, x, labels, lengths), full, strict=True):
        assert torch.equal(one, two)


def test_a_part_is_not_computed_before_its_forerunner_has_gone_back() -> None:
    """So the memory is that of one part."""
    net = Recurrent(4, 3, hidden=6, truncation=3)
    seen: list[int] = []
    net.layers[0].register_forward_hook(lambda layer, args, out: seen.append(args[0].shape[1]))
    for i, loss in enumerate(net.losses(torch.randn(2, 8, 4), torch.tensor([0, 1]))):
        assert seen == [3, 3, 2][: i + 1]
        loss.backward()
    assert len(seen) == 3


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_no_gradient_crosses_a_cut(cell: str) -> None:
    torch.manual_seed(2)
    net = Recurrent(4, 3, cell=cell, hidden=6, layers=2, loss="last")  # type: ignore[arg-type]
    x, labels = torch.randn(2, 10, 4), torch.tensor([0, 1])
    reached = {}
    for truncation in (0, 4):
        net.truncation = truncation
        leaf = x.clone().requires_grad_()
        for loss in net.losses(leaf, labels):
            loss.backward()
        assert leaf.grad is not None
        reached[truncation] = leaf.grad.abs().amax((0, 2))
    assert (reached[0] > 0).all()  # the whole past counts where nothing is cut
    assert (reached[4][:8] == 0).all()
    assert (reached[4][8:] > 0).all()


@settings(max_examples=15)
@given(st.integers(1, 9), st.sampled_from(["lstm", "gru"]), st.integers(1, 9))
def test_truncation_keeps_the_loss_and_is_the_gradient_by_hand(
    truncation: int, cell: str, short: int
) -> None:
    torch.manual_seed(3)
    net = Recurrent(4, 3, cell=cell, hidden=5).double()  # type: ignore[arg-type]
    x, labels = torch.randn(2, 9, 4).double(), torch.tensor([0, 1])
    lengths = torch.tensor([9, short])
    (whole,) = net.losses(x, labels, lengths)

    net.zero_grad()
    weights, state = step_weights("rising", mask_of([9, short], 9)), None
    for t in range(9):
        each, state = net.steps(x[:, t : t + 1], None, state)
        if t == 0:
            total = torch.zeros(()).double()
        total = total + net.step_loss(each, labels, weights[:, t : t + 1].double())
        if (t + 1) % truncation == 0:
            state = detached(state)
    total.backward()
    by_hand = [p.grad.clone() for p in net.parameters() if p.grad is not None]

    net.truncation = truncation
    torch.testing.assert_close(sum(net.losses(x, labels, lengths)), whole)
    for one, two in zip(gradients(net, x, labels, lengths), by_hand, strict=True):
        torch.testing.assert_close(one, two)


def test_a_state_carries_a_video_on() -> None:
    net = deep_lstm(4, 3, hidden=6).eval()
    x = torch.randn(2, 8, 4)
    whole, end = net.steps(x)
    first, state = net.steps(x[:, :3])
    second, other_end = net.steps(x[:, 3:], state=state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(end, other_end)


@pytest.mark.parametrize(
    ("cell", "norm", "layers"),
    [("lstm", "none", 1), ("gru", "none", 1), ("lstm", "batch", 2)],
)
def test_it_learns_which_of_two_marks_comes_first(cell: str, norm: str, layers: int) -> None:
    torch.manual_seed(0)
    net = Recurrent(
        6,
        2,
        cell=cell,  # type: ignore[arg-type]
        norm=norm,  # type: ignore[arg-type]
        layers=layers,
        hidden=16,
        prediction="last",
        loss="last",
    )
    train(net, *order_videos(400, 0), epochs=8, rate=0.02, size=50)
    assert accuracy(net, *order_videos(100, 1)) == 1


@pytest.mark.parametrize(
    ("x", "lengths", "message"),
    [
        (torch.zeros(2, 5, 3), None, r"takes \(N, T, 4\), not \(2, 5, 3\)"),
        (torch.zeros(2, 5, 4, 1, 1), None, r"takes \(N, T, 4\)"),
        (torch.zeros(2, 0, 4), None, r"takes \(N, T, 4\)"),
        (torch.zeros(2, 5, 4), torch.tensor([5, 0]), "from 1 to 5"),
        (torch.zeros(2, 5, 4), torch.tensor([5, 6]), "from 1 to 5"),
        (torch.zeros(2, 5, 4), torch.tensor([5]), "2 whole numbers"),
        (torch.zeros(2, 5, 4), torch.tensor([5.0, 5.0]), "2 whole numbers"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    x: Tensor, lengths: Tensor | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Recurrent(4, 3, hidden=5)(x, lengths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "rnn"}, "lstm, gru"),
        ({"norm": "layer"}, "none, batch"),
        ({"layers": 0}, "--layers 0"),
        ({"truncation": -1}, "--truncation -1"),
        ({"prediction": "first"}, "last, mean, rising, gain, max"),
        ({"loss": "max"}, "last, mean, rising, gain, not"),
    ],
)
def test_options_that_do_not_exist_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recurrent(4, 3, **options)
