"""What every aggregator keeps of the contract, whatever it is."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from storage.errors import UserError
from streams.aggregators.aggregator import Aggregator, valid_steps
from streams.aggregators.attention import TemporalAttention
from streams.aggregators.conv_pooling import ConvPooling
from streams.aggregators.pooling import Pooling
from streams.aggregators.recurrent import Recurrent, deep_lstm
from streams.aggregators.stepwise import Stepwise
from streams.aggregators.visual_attention import VisualAttention
from streams.aggregators.vlad import ActionVLAD

CLASSES = 3


VECTORS, MAPS = (4,), (4, 3, 2)
CONV = {"places": (3, 2), "hidden": 8, "window": 3, "stride": 2, "frames": 9}
KINDS: dict[str, tuple[tuple[int, ...], Callable[[], Aggregator]]] = {
    "average": (VECTORS, lambda: Pooling(4, CLASSES)),
    "max": (VECTORS, lambda: Pooling(4, CLASSES, rule="max")),
    "learned": (VECTORS, lambda: Pooling(4, CLASSES, rule="learned")),
    "lstm": (VECTORS, lambda: Recurrent(4, CLASSES, hidden=5, dropout=0.5)),
    "lstm-batch": (VECTORS, lambda: Recurrent(4, CLASSES, hidden=5, layers=2, norm="batch")),
    "gru": (VECTORS, lambda: Recurrent(4, CLASSES, cell="gru", hidden=5, layers=2)),
    "deep-lstm": (VECTORS, lambda: deep_lstm(4, CLASSES, hidden=5)),
    "conv": (MAPS, lambda: ConvPooling(4, CLASSES, **CONV)),  # type: ignore[arg-type]
    "late": (MAPS, lambda: ConvPooling(4, CLASSES, variant="late", **CONV)),  # type: ignore[arg-type]
    "slow": (MAPS, lambda: ConvPooling(4, CLASSES, variant="slow", **CONV)),  # type: ignore[arg-type]
    "local": (MAPS, lambda: ConvPooling(4, CLASSES, variant="local", **CONV)),  # type: ignore[arg-type]
    "time-domain": (MAPS, lambda: ConvPooling(4, CLASSES, variant="time-domain", **CONV)),  # type: ignore[arg-type]
    "actionvlad": (MAPS, lambda: ActionVLAD(4, CLASSES, clusters=5, alpha=5)),
    "actionvlad-late": (
        MAPS,
        lambda: ActionVLAD(4, CLASSES, clusters=5, alpha=5, widths=[2, 2], fusion="late"),
    ),
    "temporal-attention": (
        VECTORS,
        lambda: TemporalAttention(4, CLASSES, hidden=5, glimpses=2, selector=True),
    ),
    "visual-attention": (
        MAPS,
        lambda: VisualAttention(4, CLASSES, places=(3, 2), hidden=5, layers=2, penalty=1.0),
    ),
}


DRAWN = ("average", "max", "learned", "conv", "late", "temporal-attention", "visual-attention")
"""Those that say how much each step counted."""
CUT = ("lstm", "lstm-batch", "gru", "deep-lstm", "visual-attention")
"""Those that answer at every step."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def material(kind: str, rows: int = 3, steps: int = 9) -> tuple[Aggregator, Tensor, Tensor]:
    torch.manual_seed(0)
    shape, build = KINDS[kind]
    return build(), torch.randn(rows, steps, *shape), torch.arange(rows) % CLASSES


def backward(net: Aggregator, x: Tensor, labels: Tensor, lengths: Tensor | None) -> Tensor:
    total = torch.zeros(())
    for loss in net.losses(x, labels, lengths):
        loss.backward()
        total = total + loss.detach()
    return total


def test_logits_are_a_row_a_video_and_finite(kind: str) -> None:
    net, x, _ = material(kind)
    for lengths in (None, torch.tensor([9, 4, 1]), torch.tensor([9, 4, 1], dtype=torch.int32)):
        logits = net(x, lengths)
        assert logits.shape == (3, CLASSES)
        assert logits.isfinite().all()


def test_full_lengths_are_no_lengths(kind: str) -> None:
    net, x, _ = material(kind)
    net.eval()
    torch.testing.assert_close(net(x, torch.tensor([9, 9, 9])), net(x))


def test_a_video_does_not_see_the_others(kind: str) -> None:
    net, x, _ = material(kind)
    net.eval()
    lengths = torch.tensor([9, 4, 1])
    together = net(x, lengths)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(net(x[row : row + 1, :length])[0], together[row])


@pytest.mark.parametrize("kind", DRAWN)
def test_weights_are_positive_and_end_with_the_video_and_carry_no_gradient(kind: str) -> None:
    net, x, _ = material(kind)
    net.eval()
    lengths = torch.tensor([9, 4, 1])
    weights = net.weights(x, lengths)
    assert weights is not None
    assert not weights.requires_grad
    assert weights.shape in ((3, 9), (3, 9, *x.shape[3:]))
    valid = valid_steps(lengths, 3, 9, x.device)
    assert (weights >= 0).all()
    assert (weights[~valid] == 0).all()
    each_step = weights.flatten(2).sum(2) if weights.ndim == 4 else weights.sum(1)
    expected = valid.float() if weights.ndim == 4 else torch.ones(3)
    torch.testing.assert_close(each_step, expected)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("steps", [1, 9])
def test_every_parameter_that_can_learn_does(kind: str, rows: int, steps: int) -> None:
    net, x, labels = material(kind, rows, steps)
    assert backward(net, x, labels, None).isfinite()
    for name, value in net.named_parameters():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name
        if (rows, steps) == (3, 9) and not isinstance(net, ConvPooling):
            assert value.grad.abs().max() > 0, name


def test_in_bfloat16_it_stays_near_float32(kind: str) -> None:
    net, x, labels = material(kind)
    net.eval()
    lengths = torch.tensor([9, 4, 1])
    exact = net(x, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        rough = net(x, lengths)
        losses = list(net.losses(x, labels, lengths))
    torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.05)
    for loss in losses:
        assert loss.dtype == torch.float32
        loss.backward()


def test_in_float64_it_computes_in_float64(kind: str) -> None:
    net, x, labels = material(kind)
    net.double().eval()
    logits = net(x.double())
    assert logits.dtype == torch.float64
    exact = [loss.dtype for loss in net.losses(x.double(), labels)]
    assert set(exact) == {torch.float64}


def test_a_state_dict_is_all_there_is_to_it(kind: str) -> None:
    net, x, labels = material(kind)
    backward(net, x, labels, None)
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.1 * torch.randn_like(value))
    other, _, _ = material(kind)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.eval()(x), net.eval()(x))
    assert torch.equal(copy.deepcopy(net)(x), net(x))


@pytest.mark.parametrize("kind", CUT)
def test_steps_that_may_be_cut_give_the_same_loss_with_a_cut(kind: str) -> None:
    net, x, labels = material(kind)
    assert isinstance(net, Stepwise)
    net.eval()
    lengths = torch.tensor([9, 4, 1])
    (whole,) = net.losses(x, labels, lengths)
    net.truncation = 4
    parts = list(net.losses(x, labels, lengths))
    torch.testing.assert_close(torch.stack(parts).sum(), whole)
    (early,) = net.losses(x[1:], labels[1:], lengths[1:])  # no part that no video reaches
    assert early.isfinite()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(DRAWN)))
def test_the_others_have_no_weights_to_draw(kind: str) -> None:
    net, x, _ = material(kind)
    assert net.eval().weights(x) is None


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(CUT)))
def test_the_others_have_one_loss(kind: str) -> None:
    net, x, labels = material(kind)
    assert not isinstance(net, Stepwise)
    assert len(list(net.losses(x, labels))) == 1


def test_inputs_of_another_width_are_refused(kind: str) -> None:
    net, x, _ = material(kind)
    wrong = torch.cat([x, x], 2)
    with pytest.raises(UserError, match=f"takes .*not \\(3, 9, {wrong.shape[2]}"):
        net(wrong)


def test_a_width_or_classes_of_zero_are_refused() -> None:
    with pytest.raises(UserError, match="0 features and 3 classes"):
        Pooling(0, 3)
