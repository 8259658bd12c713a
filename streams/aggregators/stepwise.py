"""Aggregators that answer at every step: how the steps are weighed, and how gradients are cut."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from storage.errors import UserError
from streams.aggregators.aggregator import Aggregator, Piece

StepRule = Literal["last", "mean", "rising", "gain"]
"""How much step t of L counts, from 1 to L. last: the last step alone. mean: 1 / L. rising: in
proportion to t. gain: in proportion to (t - 1) / (L - 1), the linear gain from 0 to 1 of Beyond
Short Snippets. All sum to 1: the paper's gain does not, its sum L / 2 is left to the learning
rate here, so that long videos do not outweigh short ones."""

PredictionRule = Literal["last", "mean", "rising", "gain", "max"]
"""How the steps' probabilities become one answer: weighed as above, or each class's maximum over
time. Beyond Short Snippets tries last, max, mean and gain, and finds gain the best by a little."""

State = tuple[tuple[Tensor, ...], ...]
"""Per layer what a step hands to the next: (h, c) of an LSTM, (h,) of a GRU; each (N, hidden)."""


def step_weights(rule: StepRule, mask: Tensor) -> Tensor:
    """bool (N, T) -> float32 (N, T): each row sums to 1, and is 0 where mask is false."""
    count = mask.sum(1, keepdim=True)
    step = torch.arange(1, mask.shape[1] + 1, device=mask.device)[None]
    if rule == "last":
        share = (step == count).float()
    elif rule == "mean":
        share = torch.ones_like(mask, dtype=torch.float32)
    elif rule == "rising":
        share = step.float().expand(mask.shape)
    else:
        share = torch.where(count == 1, 1.0, (step - 1).float())
    share = share * mask
    return share / share.sum(1, keepdim=True)


def mean_probability(logits: Tensor, weights: Tensor) -> Tensor:
    """(N, T, classes) and (N, T) -> (N, classes): logits whose softmax is the weighted mean of
    the steps' softmax. Steps of weight 0 have no part in it, nor in its gradient."""
    return (logits.log_softmax(2) + weights.log()[:, :, None]).logsumexp(1)


def mean_over_views(logits: Tensor) -> Tensor:
    """(N, V, classes) -> (N, classes): the mean probability of V windows, clips or crops."""
    return mean_probability(logits, logits.new_full(logits.shape[:2], 1 / logits.shape[1]))


def maximum_probability(logits: Tensor, mask: Tensor) -> Tensor:
    """(N, T, classes) -> (N, classes): the logarithm of each class's largest probability."""
    return logits.log_softmax(2).masked_fill(~mask[:, :, None], -torch.inf).amax(1)


def detached(state: State) -> State:
    return tuple(tuple(part.detach() for part in layer) for layer in state)


class Stepwise(Aggregator):
    """Logits at every step; a state goes from step to step.

    `prediction` weighs the steps' probabilities, `loss` the steps' cross-entropies. `truncation`
    is k of truncated back-propagation: the video is cut into parts of k steps, the state goes on
    over a cut and its gradient does not. 0, or k of T or more, is the full gradient. A trainer
    goes back through each of `losses` in turn, so the memory is that of k steps.
    """

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        prediction: PredictionRule = "rising",
        loss: StepRule = "rising",
        truncation: int = 0,
    ) -> None:
        super().__init__(width, classes)
        for rule, rules in ((prediction, PredictionRule), (loss, StepRule)):
            if rule not in get_args(rules):
                raise UserError(
                    f"a rule for steps is one of {', '.join(get_args(rules))}, not {rule!r}"
                )
        if truncation < 0:
            raise UserError(f"--truncation {truncation} must be at least 1, or 0 for no cut")
        self.prediction, self.loss, self.truncation = prediction, loss, truncation

    @abstractmethod
    def start(self, x: Tensor, mask: Tensor) -> State:
        """The state before the first step of x."""

    @abstractmethod
    def advance(self, x: Tensor, mask: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (N, T, classes), and the state behind the last step of x, valid or not."""

    def steps(
        self, x: Tensor, lengths: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Logits at every step, (N, T, classes), and the state from which to go on.

        Rows that end before T leave a state of no use.
        """
        x, mask = self.prepare(x, lengths)
        return self.advance(x, mask, self.start(x, mask) if state is None else state)

    def logits(self, x: Tensor, mask: Tensor) -> Tensor:
        each, _ = self.advance(x, mask, self.start(x, mask))
        return self.answer(each, mask)

    def answer(self, each: Tensor, mask: Tensor) -> Tensor:
        """Logits at every step, (N, T, classes), to those of the video, (N, classes)."""
        if self.prediction == "max":
            return maximum_probability(each, mask)
        return mean_probability(each, step_weights(self.prediction, mask))

    def parts(self, x: Tensor, mask: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """The slice of time of each part between cuts, its x and its mask."""
        steps = x.shape[1]
        size = self.truncation or steps
        for low in range(0, steps, size):
            part = slice(low, low + size)
            if mask[:, part].any():
                yield part, x[:, part], mask[:, part]

    def pieces(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Iterator[Piece]:
        x, mask = self.prepare(x, lengths)
        weights = step_weights(self.loss, mask)
        state = self.start(x, mask)
        so_far: list[Tensor] = []
        parts = list(self.parts(x, mask))
        for number, (part, own, valid) in enumerate(parts, 1):
            each, state = self.advance(own, valid, state)
            state = detached(state)
            so_far.append(each.detach())
            steps = torch.cat(so_far, 1)
            answer = self.answer(steps, mask[:, : steps.shape[1]])
            loss = self.step_loss(each, labels, weights[:, part])
            yield Piece(loss, answer, number == len(parts))

    def step_loss(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """(N, T, classes), (N,), (N, T) -> the weighted sum over steps, the mean over videos."""
        rows, steps, _ = logits.shape
        each = functional.cross_entropy(
            logits.flatten(0, 1),
            labels.repeat_interleave(steps),
            reduction="none",
            label_smoothing=self.smoothing,
        )
        return (each.view(rows, steps) * weights).sum(1).mean()
