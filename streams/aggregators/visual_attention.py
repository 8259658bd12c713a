"""Soft visual attention (Sharma et al. 2015): at every step an LSTM chooses where to look next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.aggregators.aggregator import Piece, mean_over_steps
from streams.aggregators.attention import AdditiveScores
from streams.aggregators.stepwise import (
    PredictionRule,
    State,
    StepRule,
    Stepwise,
    detached,
    step_weights,
)

Scores = Literal["content", "place"]
"""How places are scored from the last state h. content: u tanh(W x + U h + b) with the place's
features x, as the authors' code does. place: one linear map of h, a number a place, as equation 4
of the paper has it; the features have no part in it."""


class VisualAttention(Stepwise):
    """Maps (N, T, D, h, w) -> logits; 7x7x1024 of GoogLeNet in the paper.

    The weights of step t over the places come from the top layer's state behind step t - 1 and
    sum to 1; the weighted mean of the map goes into `layers` LSTM cells. Their first states are
    an MLP of the mean over steps and places. A tanh layer and the classifier answer at every step.
    The loss is the mean over steps (the paper's: the sum) plus `penalty` times
    sum over places of (1 - sum over steps of the weight)^2, which asks for a look at every place.
    """

    takes = "maps"

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        places: tuple[int, int] = (7, 7),
        hidden: int = 512,
        layers: int = 1,
        inner: int | None = None,
        scores: Scores = "content",
        penalty: float = 0.0,
        dropout: float = 0.5,
        prediction: PredictionRule = "mean",
        loss: StepRule = "mean",
        truncation: int = 0,
    ) -> None:
        """`inner`: width of the scores' layer, D where not given."""
        super().__init__(width, classes, prediction=prediction, loss=loss, truncation=truncation)
        if scores not in get_args(Scores):
            raise UserError(f"scores are one of {', '.join(get_args(Scores))}, not {scores!r}")
        if hidden < 1 or layers < 1 or penalty < 0:
            raise UserError(
                f"--hidden {hidden} and --layers {layers} must be at least 1, --extra "
                f"penalty={penalty} at least 0"
            )
        self.places, self.penalty = tuple(places), penalty
        self.first = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout))
        self.first_states = nn.Linear(width, 2 * layers * hidden)
        self.scores: nn.Module = (
            AdditiveScores(width, hidden, inner or width)
            if scores == "content"
            else nn.Linear(hidden, places[0] * places[1])
        )
        self.cells = nn.ModuleList(
            nn.LSTMCell(width if i == 0 else hidden, hidden) for i in range(layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), nn.Dropout(dropout))
        self.head = nn.Linear(hidden, classes)

    def prepare(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        x, mask = super().prepare(x, lengths)
        if tuple(x.shape[3:]) != self.places:
            raise UserError(
                f"attention was built for maps of {self.places}, not {tuple(x.shape[3:])}"
            )
        return x, mask

    def start(self, x: Tensor, mask: Tensor) -> State:
        mean = mean_over_steps(x.mean((3, 4)), mask)
        parts = self.first_states(self.first(mean)).tanh().chunk(2 * len(self.cells), 1)
        return tuple(zip(parts[::2], parts[1::2], strict=True))

    def look(self, vectors: Tensor, state: Tensor) -> Tensor:
        """Places (N, P, D) and the last state (N, hidden) -> weights (N, P)."""
        if isinstance(self.scores, AdditiveScores):
            return self.scores(self.scores.of_vector(vectors), state).softmax(1)
        return self.scores(state).softmax(1)

    def glance(self, x: Tensor, mask: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Logits (N, T, classes), weights (N, T, P), zero behind the end, and the last state."""
        outputs, looks = [], []
        for frame in x.flatten(3).transpose(2, 3).unbind(1):
            share = self.look(frame, state[-1][0])
            below = torch.einsum("np,npd->nd", share, frame)
            behind = []
            for cell, before in zip(self.cells, state, strict=True):
                behind.append(cell(below, before))
                below = self.dropout(behind[-1][0])
            state = tuple(behind)
            outputs.append(below)
            looks.append(share)
        logits = self.head(self.readout(torch.stack(outputs, 1)))
        return logits, torch.stack(looks, 1) * mask[:, :, None], state

    def advance(self, x: Tensor, mask: Tensor, state: State) -> tuple[Tensor, State]:
        logits, _, state = self.glance(x, mask, state)
        return logits, state

    @torch.no_grad()
    def weights(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(N, T, h, w); each valid step's weights sum to 1."""
        x, mask = self.prepare(x, lengths)
        _, share, _ = self.glance(x, mask, self.start(x, mask))
        return share.unflatten(2, self.places)

    def pieces(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Iterator[Piece]:
        """With a penalty one piece, cuts or not: it needs the weights of all steps at once."""
        if not self.penalty:
            yield from super().pieces(x, labels, lengths)
            return
        x, mask = self.prepare(x, lengths)
        weights = step_weights(self.loss, mask)
        state = self.start(x, mask)
        losses, looks, steps = [], [], []
        for part, own, valid in self.parts(x, mask):
            each, share, state = self.glance(own, valid, state)
            state = detached(state)
            losses.append(self.step_loss(each, labels, weights[:, part]))
            looks.append(share)
            steps.append(each.detach())
        seen = torch.cat(steps, 1)
        yield Piece(
            torch.stack(losses).sum() + self.penalty * unseen(torch.cat(looks, 1)),
            self.answer(seen, mask[:, : seen.shape[1]]),
        )


def unseen(weights: Tensor) -> Tensor:
    """(N, T, P) -> the mean over videos of sum over P of (1 - sum over T of the weight)^2."""
    return (1 - weights.sum(1)).square().sum(1).mean()
