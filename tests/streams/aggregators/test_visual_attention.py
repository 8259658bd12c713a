"""Soft visual attention: its weights, the pooled LSTM as its limit, its penalty, what it finds."""

from __future__ import annotations

import pytest
import torch
from sequence_toys import accuracy, train
from torch import Tensor, nn

from storage.errors import UserError
from streams.aggregators.attention import AdditiveScores
from streams.aggregators.visual_attention import VisualAttention, unseen


def attention(**options: object) -> VisualAttention:
    torch.manual_seed(0)
    sizes = {"places": (3, 2), "hidden": 5} | options
    return VisualAttention(4, 3, **sizes).eval()  # type: ignore[arg-type]


def blind(net: VisualAttention) -> VisualAttention:
    """All scores zero: every place counts the same."""
    scores = net.scores
    last = scores.score if isinstance(scores, AdditiveScores) else scores
    for value in last.parameters():
        nn.init.zeros_(value)
    return net


@pytest.mark.parametrize("scores", ["content", "place"])
def test_weights_over_the_papers_49_places_sum_to_1(scores: str) -> None:
    torch.manual_seed(0)
    net = VisualAttention(1024, 51, inner=16, scores=scores)  # type: ignore[arg-type]
    x, lengths = torch.rand(2, 3, 1024, 7, 7), torch.tensor([3, 2])
    weights = net.weights(x, lengths)
    assert weights.shape == (2, 3, 7, 7)
    torch.testing.assert_close(
        weights.sum((2, 3)), torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    )
    assert net(x, lengths).shape == (2, 51)


@pytest.mark.parametrize("scores", ["content", "place"])
@pytest.mark.parametrize("layers", [1, 3])
def test_uniform_weights_are_the_lstm_of_pooled_maps(scores: str, layers: int) -> None:
    net = blind(attention(scores=scores, layers=layers))
    x = torch.randn(2, 6, 4, 3, 2)
    lstm = nn.LSTM(4, 5, layers, batch_first=True)
    for i, cell in enumerate(net.cells):
        for name, value in cell.named_parameters():
            getattr(lstm, f"{name}_l{i}").data.copy_(value.data)
    state = net.start(x, torch.ones(2, 6, dtype=torch.bool))
    h, c = (torch.stack([layer[k] for layer in state]).contiguous() for k in (0, 1))
    outputs, _ = lstm(x.mean((3, 4)), (h, c))
    torch.testing.assert_close(net.steps(x)[0], net.head(net.readout(outputs)))
    torch.testing.assert_close(net.weights(x), torch.full((2, 6, 3, 2), 1 / 6))


def test_the_first_state_is_an_mlp_of_the_mean_over_steps_and_places() -> None:
    net, x = attention(), torch.randn(2, 6, 4, 3, 2)
    lengths = torch.tensor([6, 2])
    ((h, c),) = net.start(*net.prepare(x, lengths))
    mean = torch.stack([x[0].mean((0, 2, 3)), x[1, :2].mean((0, 2, 3))])
    inner = torch.relu(net.first[0](mean))
    torch.testing.assert_close(torch.cat([h, c], 1), torch.tanh(net.first_states(inner)))


def test_weights_of_a_step_depend_on_the_past_and_with_content_on_the_step() -> None:
    x = torch.randn(1, 4, 4, 3, 2)
    other = x.clone()
    other[0, 2] += torch.randn(4, 3, 2)
    state_of = torch.ones(1, 4, dtype=torch.bool)
    for scores, first in (("content", 2), ("place", 3)):
        net = attention(scores=scores)
        nn.init.zeros_(net.first_states.weight)  # the mean must not carry the change back
        shares = [net.glance(v, state_of, net.start(v, state_of))[1][0] for v in (x, other)]
        changed = (shares[0] - shares[1]).abs().amax(1) > 1e-6
        assert changed.tolist() == [t >= first for t in range(4)]


def test_the_top_layers_state_chooses_the_place() -> None:
    net, x = attention(scores="place", layers=2), torch.randn(1, 2, 4, 3, 2)
    mask = torch.ones(1, 2, dtype=torch.bool)
    first, second = net.start(x, mask)
    shares = [net.scores(second[0]).softmax(1)]
    below = torch.einsum("np,ndp->nd", shares[0], x[:, 0].flatten(2))
    shares.append(net.scores(net.cells[1](net.cells[0](below, first)[0], second)[0]).softmax(1))
    torch.testing.assert_close(net.weights(x).flatten(2), torch.stack(shares, 1))


def test_the_penalty_written_out() -> None:
    weights = torch.rand(2, 5, 6).softmax(2)
    expected = sum(
        (1 - sum(weights[n, t, i] for t in range(5))) ** 2 for n in range(2) for i in range(6)
    )
    torch.testing.assert_close(unseen(weights), expected / 2)


@pytest.mark.parametrize(("steps", "expected"), [(6, 0.0), (3, 6 * 0.25), (12, 6.0)])
def test_the_penalty_of_an_even_look_at_six_places(steps: int, expected: float) -> None:
    net = blind(attention(penalty=2.0))
    x, labels = torch.randn(2, steps, 4, 3, 2), torch.tensor([0, 1])
    (loss,) = net.losses(x, labels)
    net.penalty = 0.0
    (plain,) = net.losses(x, labels)
    torch.testing.assert_close(loss - plain, torch.tensor(2 * expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_what_stands_behind_the_end_changes_nothing(penalty: float) -> None:
    net, x = attention(penalty=penalty), torch.randn(2, 6, 4, 3, 2)
    other = x.clone()
    other[1, 3:] = float("nan")
    lengths, labels = torch.tensor([6, 3]), torch.tensor([0, 1])
    torch.testing.assert_close(net(other, lengths)[1:], net(x[1:, :3]))
    torch.testing.assert_close(net.weights(other, lengths)[1:, :3], net.weights(x[1:, :3]))
    (loss,) = net.losses(other, labels, lengths)
    rows = [next(net.losses(x[:1], labels[:1])), next(net.losses(x[1:, :3], labels[1:]))]
    torch.testing.assert_close(loss, torch.stack(rows).mean())
    loss.backward()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_truncation_is_exact_beyond_the_end_and_cuts_before_it(penalty: float) -> None:
    net = attention(penalty=penalty, scores="place", loss="last")
    x, labels = torch.randn(2, 6, 4, 3, 2), torch.tensor([0, 1])
    nn.init.zeros_(net.first_states.weight)
    reached = {}
    for truncation in (0, 6, 4):
        net.truncation = truncation
        leaf = x.clone().requires_grad_()
        for loss in net.losses(leaf, labels):
            loss.backward()
        reached[truncation] = leaf.grad
    assert torch.equal(reached[0], reached[6])
    assert reached[4] is not None
    if not penalty:  # the penalty reaches the state of every step by itself
        assert (reached[4][:, :4] == 0).all()
    assert (reached[4][:, 4:].abs().amax((0, 2, 3, 4)) > 0).all()


def marked_places(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """(count, 4, 6, 4, 4): at each step one place is marked; its sign is the class. The others'
    signs are random. Also the marked place of each step."""
    rng = torch.Generator().manual_seed(seed)
    x = 0.3 * torch.randn(count, 4, 6, 16, generator=rng)
    x[:, :, 1] = 2 * torch.randint(2, (count, 4, 16), generator=rng).float() - 1
    labels = torch.randint(2, (count,), generator=rng)
    at = torch.randint(16, (count, 4), generator=rng)
    rows, steps = torch.arange(count)[:, None], torch.arange(4)[None]
    x[rows, steps, 0, at] = 3
    x[rows, steps, 1, at] = 2 * labels[:, None].float() - 1
    return x.unflatten(3, (4, 4)), labels, at


def test_it_looks_at_the_place_that_decides_and_an_even_look_does_not_suffice() -> None:
    scores = {}
    x, labels, at = marked_places(200, 1)
    for kind in ("attention", "even"):
        torch.manual_seed(0)
        net = VisualAttention(6, 2, places=(4, 4), hidden=16, inner=8, dropout=0)
        if kind == "even":
            blind(net).scores.requires_grad_(False)
        train(net, *marked_places(400, 0)[:2], epochs=10, rate=0.01)
        scores[kind] = accuracy(net, x, labels)
        if kind == "attention":
            weights = net.weights(x).flatten(2)
            assert (weights.argmax(2) == at).float().mean() > 0.5
            assert weights.gather(2, at[:, :, None]).mean() > 0.4  # an even look: 1 / 16
    assert scores["attention"] > 0.98
    assert scores["even"] < 0.8


def test_it_learns_which_of_two_places_lights_up_first() -> None:
    torch.manual_seed(0)
    x = 0.05 * torch.randn(400, 4, 3, 2, 2)
    labels = torch.arange(400) % 2
    x[labels == 0, 0, 0] += 1
    x[labels == 0, 3, 1] += 1
    x[labels == 1] = x[labels == 0].flip(1)
    net = VisualAttention(3, 2, places=(2, 2), hidden=16, dropout=0, prediction="last", loss="last")
    train(net, x[:300], labels[:300], epochs=6, rate=0.02)
    assert accuracy(net, x[300:], labels[300:]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": "none"}, "content, place"),
        ({"penalty": -1.0}, "--extra penalty=-1.0"),
        ({"layers": 0}, "--layers 0"),
    ],
)
def test_options_that_do_not_exist_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        attention(**options)


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(UserError, match=r"maps of \(3, 2\), not \(2, 3\)"):
        attention()(torch.zeros(1, 2, 4, 2, 3))
