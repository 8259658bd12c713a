"""Temporal attention: its weights, its limits, and whether it finds the step that decides."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sequence_toys import accuracy, beside_each_other, needle_videos, order_videos, train
from torch import Tensor

from storage.errors import UserError
from streams.aggregators.attention import TemporalAttention
from streams.aggregators.pooling import Pooling


def attention(width: int = 4, **options: object) -> TemporalAttention:
    torch.manual_seed(0)
    return TemporalAttention(width, 3, hidden=5, **options).eval()  # type: ignore[arg-type]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 3), st.booleans())
def test_weights_sum_to_1_over_valid_frames(
    lengths: list[int], glimpses: int, selector: bool
) -> None:
    net = attention(glimpses=glimpses, selector=selector)
    x = torch.randn(len(lengths), 9, 4)
    each = net.glimpse_weights(x, torch.tensor(lengths))
    assert each.shape == (len(lengths), glimpses, 9)
    torch.testing.assert_close(each.sum(2), torch.ones(len(lengths), glimpses))
    torch.testing.assert_close(net.weights(x, torch.tensor(lengths)), each.mean(1))
    for row, length in zip(each, lengths, strict=True):
        assert (row[:, :length] > 0).all()
        assert (row[:, length:] == 0).all()


def test_the_scores_are_those_of_the_paper() -> None:
    net, x = attention(), torch.randn(1, 6, 4)
    scores, mean = net.scores, x[0].mean(0)
    h = torch.tanh(net.first_state.weight @ mean + net.first_state.bias)
    by_hand = []
    for vector in x[0]:
        inner = scores.of_vector.weight @ vector + scores.of_vector.bias
        inner = torch.tanh(inner + scores.of_state.weight @ h)
        by_hand.append(scores.score.weight[0] @ inner)
    torch.testing.assert_close(net.weights(x)[0], torch.stack(by_hand).softmax(0))


def test_zero_scores_give_the_mean() -> None:
    net, x = attention(glimpses=2), torch.randn(2, 6, 4)
    torch.nn.init.zeros_(net.scores.score.weight)
    lengths = torch.tensor([6, 3])
    mask = torch.arange(6) < lengths[:, None]
    _, context, share = net.glance(*net.prepare(x, lengths))
    means = torch.stack([x[0].mean(0), x[1, :3].mean(0)])
    torch.testing.assert_close(context, means)
    torch.testing.assert_close(share, (mask / lengths[:, None])[:, None].expand(-1, 2, -1))
    # and the answer is that of a video of one frame, the mean
    torch.testing.assert_close(net(x, lengths), net(means[:, None]))


def test_permuted_frames_permute_the_weights_and_keep_the_answer() -> None:
    net, x = attention(glimpses=3, selector=True), torch.randn(2, 8, 4)
    order = torch.randperm(8)
    torch.testing.assert_close(net.weights(x[:, order]), net.weights(x)[:, order])
    torch.testing.assert_close(net(x[:, order]), net(x))


def test_what_stands_behind_the_end_changes_nothing() -> None:
    net, x = attention(glimpses=2), torch.randn(2, 8, 4)
    other = x.clone()
    other[1, 3:] = float("nan")
    lengths = torch.tensor([8, 3])
    torch.testing.assert_close(net(other, lengths)[1:], net(x[1:, :3]))
    for loss in net.losses(other, torch.tensor([0, 1]), lengths):
        loss.backward()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


def test_a_closed_selector_reads_nothing_and_an_open_one_everything() -> None:
    net, x = attention(selector=True), torch.randn(2, 6, 4)
    assert net.selector is not None
    plain = attention()
    plain.load_state_dict(net.state_dict(), strict=False)
    torch.nn.init.zeros_(net.selector.weight)
    for bias, gate in ((-100.0, 0.0), (0.0, 0.5), (100.0, 1.0)):
        torch.nn.init.constant_(net.selector.bias, bias)
        _, context, share = net.glance(*net.prepare(x, None))
        torch.testing.assert_close(context, gate * torch.einsum("nt,ntd->nd", share[:, 0], x))
    torch.testing.assert_close(net(x), plain(x))


def test_3d_features_beside_2d_ones_are_one_more_term_of_the_scores() -> None:
    """Where their weights are zero, the 2-D features answer alone."""
    frames, clips = torch.randn(2, 8, 4), torch.randn(2, 3, 2)
    both = beside_each_other(frames, clips)
    alone, beside = attention(4, inner=7), attention(6, inner=7)
    for (_, one), (name, two) in zip(
        alone.named_parameters(), beside.named_parameters(), strict=True
    ):
        torch.nn.init.zeros_(two)
        place = (slice(None),) * two.ndim
        if name == "readout.weight":  # (state, context)
            place = (slice(None), slice(0, 9))
        elif two.shape != one.shape:
            place = (slice(None), slice(0, 4))
        two.data[place] = one.data
    torch.testing.assert_close(beside(both), alone(frames))
    beside.scores.of_vector.weight.data[:, 4:] = 1
    assert (beside.weights(both) - alone.weights(frames)).abs().max() > 1e-3


def test_its_weight_lies_on_the_one_step_of_40_that_decides() -> None:
    torch.manual_seed(0)
    net = TemporalAttention(8, 2, hidden=16, dropout=0)
    average = Pooling(8, 2)
    for one in (net, average):
        train(one, *needle_videos(400, 0)[:2], epochs=12, rate=0.02)
    x, labels, needle = needle_videos(200, 1)
    assert accuracy(net, x, labels) > 0.98
    assert accuracy(average, x, labels) < 0.7
    weights = net.weights(x)
    assert (weights.argmax(1) == needle).float().mean() > 0.98
    assert weights[torch.arange(200), needle].mean() > 0.85


def test_order_is_beyond_it() -> None:
    torch.manual_seed(0)
    net = TemporalAttention(6, 2, hidden=16)
    train(net, *order_videos(200, 0), epochs=5, rate=0.01, size=50)
    assert accuracy(net, *order_videos(100, 1)) == pytest.approx(0.5, abs=0.02)


def only_clips(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """2-D features that say nothing and 3-D features that say the class."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=rng)
    clips = torch.randn(count, 2, 3, generator=rng)
    clips[:, :, 0] = 3 * labels[:, None].float() - 1.5
    frames = torch.randn(count, 8, 4, generator=rng)
    return beside_each_other(frames, clips), labels


def test_it_learns_from_3d_features_what_2d_ones_do_not_hold() -> None:
    torch.manual_seed(0)
    net = TemporalAttention(7, 2, hidden=16)
    x, labels = only_clips(200, 0)
    train(net, x, labels, epochs=5, rate=0.01)
    assert accuracy(net, *only_clips(100, 1)) == 1


def test_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UserError, match="--extra glimpses=0"):
        attention(glimpses=0)
