"""Temporal attention (Yao et al., ICCV 2015): which steps of a video an LSTM reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.aggregators.aggregator import Aggregator, mean_over_steps


class AdditiveScores(nn.Module):
    """Score of each of M vectors v, given a state h: u tanh(W v + U h + b).

    (N, M, D) and (N, hidden) -> (N, M). The softmax over M does not see a bias of u.
    """

    def __init__(self, width: int, hidden: int, inner: int) -> None:
        super().__init__()
        self.of_vector = nn.Linear(width, inner)
        self.of_state = nn.Linear(hidden, inner, bias=False)
        self.score = nn.Linear(inner, 1, bias=False)

    def forward(self, projected: Tensor, state: Tensor) -> Tensor:
        """`projected` is of_vector(v): it does not change while the state does."""
        scores: Tensor = self.score((projected + self.of_state(state)[:, None]).tanh())
        return scores[:, :, 0]


class TemporalAttention(Aggregator):
    """Features (N, T, D) -> logits, by a few glimpses at the whole video.

    The paper's LSTM writes a caption and looks at the video anew before each word. Here there are
    no words: it looks `glimpses` times, then it classifies from its state and its last context.
    A look weighs the steps by the softmax of u tanh(W v + U h + b); the context is the weighted
    mean of the steps; with `selector` a gate sigmoid(w h + b) says how much of it is read. The
    first state is a tanh layer of the mean. 2-D and 3-D features of the paper stand side by side
    in D (`windows.matching_steps`). The order of the steps has no part in it.
    """

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        hidden: int = 512,
        inner: int | None = None,
        glimpses: int = 1,
        selector: bool = False,
        dropout: float = 0.5,
    ) -> None:
        """`inner`: width of the scores' layer, D where not given."""
        super().__init__(width, classes)
        if hidden < 1 or glimpses < 1:
            raise UserError(
                f"--hidden {hidden} and --extra glimpses={glimpses} must both be at least 1"
            )
        self.glimpses = glimpses
        self.first_state = nn.Linear(width, hidden)
        self.first_memory = nn.Linear(width, hidden)
        self.scores = AdditiveScores(width, hidden, inner or width)
        self.selector = nn.Linear(hidden, 1) if selector else None
        self.cell = nn.LSTMCell(width, hidden)
        self.readout = nn.Linear(hidden + width, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def glance(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Last state (N, hidden), last context (N, D), and weights (N, glimpses, T)."""
        mean = mean_over_steps(x, mask)
        h, c = self.first_state(mean).tanh(), self.first_memory(mean).tanh()
        projected = self.scores.of_vector(x)
        looks = []
        for _ in range(self.glimpses):
            share = self.scores(projected, h).masked_fill(~mask, -torch.inf).softmax(1)
            context = torch.einsum("nt,ntd->nd", share, x)
            if self.selector is not None:
                context = self.selector(h).sigmoid() * context
            h, c = self.cell(context, (h, c))
            looks.append(share)
        return h, context, torch.stack(looks, 1)

    def logits(self, x: Tensor, mask: Tensor) -> Tensor:
        h, context, _ = self.glance(x, mask)
        inner = self.readout(torch.cat([self.dropout(h), context], 1)).tanh()
        logits: Tensor = self.head(self.dropout(inner))
        return logits

    @torch.no_grad()
    def glimpse_weights(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(N, glimpses, T); each glimpse's weights sum to 1."""
        return self.glance(*self.prepare(x, lengths))[2]

    def weights(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(N, T): the mean over glimpses."""
        return self.glimpse_weights(x, lengths).mean(1)
