"""LSTM and GRU of any depth over the features of frames."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from storage.errors import UserError
from streams.aggregators.stepwise import PredictionRule, State, StepRule, Stepwise

Cell = Literal["lstm", "gru"]
Norm = Literal["none", "batch"]


class StepNorm(nn.BatchNorm1d):
    """Batch norm of (N, T, D) over videos and valid steps together; other steps stay zero.

    It has no scale and no shift: a linear map stands behind it everywhere here and holds both.
    Of one single step there is no deviation, so then the running statistics stand in.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return self.normal(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        normal = self.normal(x[mask])
        return torch.zeros_like(x, dtype=normal.dtype).masked_scatter(mask[:, :, None], normal)

    def normal(self, steps: Tensor) -> Tensor:
        """(M, D) -> (M, D)."""
        if self.training and len(steps) == 1:
            return functional.batch_norm(steps, self.running_mean, self.running_var, eps=self.eps)
        return super().forward(steps)


def full_precision_on_a_cpu(device: torch.device) -> AbstractContextManager[object]:
    """torch's LSTM in bfloat16 stops on processors that have no instructions for it."""
    return torch.autocast("cpu", enabled=False) if device.type == "cpu" else nullcontext()


class Recurrent(Stepwise):
    """Features (N, T, D) -> `layers` LSTMs or GRUs -> dropout -> a classifier at every step.

    With norm="batch" every layer's output is normalised, before the next layer and the
    classifier; with truncation each part between cuts has statistics of its own. (Cooijmans
    et al. 2017, whom Quo Vadis follows, also normalise within the recurrence.) Dropout falls
    behind every layer. torch's cells have two biases a gate.
    """

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        cell: Cell = "lstm",
        hidden: int = 512,
        layers: int = 1,
        norm: Norm = "none",
        dropout: float = 0.0,
        prediction: PredictionRule = "rising",
        loss: StepRule = "rising",
        truncation: int = 0,
    ) -> None:
        super().__init__(width, classes, prediction=prediction, loss=loss, truncation=truncation)
        if cell not in get_args(Cell) or norm not in get_args(Norm):
            raise UserError(
                f"a cell is one of {', '.join(get_args(Cell))}, not {cell!r}; a norm is one of "
                f"{', '.join(get_args(Norm))}, not {norm!r}"
            )
        if hidden < 1 or layers < 1:
            raise UserError(f"--hidden {hidden} and --layers {layers} must both be at least 1")
        kind = nn.LSTM if cell == "lstm" else nn.GRU
        self.cell, self.hidden = cell, hidden
        self.layers = nn.ModuleList(
            kind(width if i == 0 else hidden, hidden, batch_first=True) for i in range(layers)
        )
        self.norms = nn.ModuleList(
            StepNorm(hidden) for _ in range(layers if norm == "batch" else 0)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def start(self, x: Tensor, mask: Tensor) -> State:
        zeros = torch.zeros(x.shape[0], self.hidden, dtype=self.head.weight.dtype, device=x.device)
        return tuple((zeros,) * (2 if self.cell == "lstm" else 1) for _ in self.layers)

    def advance(self, x: Tensor, mask: Tensor, state: State) -> tuple[Tensor, State]:
        behind: list[tuple[Tensor, ...]] = []
        for i, layer in enumerate(self.layers):
            before = tuple(part[None].contiguous() for part in state[i])
            with full_precision_on_a_cpu(x.device):
                x = x.to(self.head.weight.dtype)
                x, after = layer(x, before if self.cell == "lstm" else before[0])
            after = after if self.cell == "lstm" else (after,)
            behind.append(tuple(part[0] for part in after))
            if self.norms:
                x = self.norms[i](x, mask)
            x = self.dropout(x)
        return self.head(x), tuple(behind)


def deep_lstm(
    width: int,
    classes: int,
    *,
    hidden: int = 512,
    layers: int = 5,
    dropout: float = 0.0,
    prediction: PredictionRule = "gain",
    truncation: int = 0,
) -> Recurrent:
    """The five-layer LSTM of Beyond Short Snippets (CVPR 2015): a linear gain from 0 to 1 over
    time in the loss, and in the prediction too."""
    return Recurrent(
        width,
        classes,
        hidden=hidden,
        layers=layers,
        dropout=dropout,
        prediction=prediction,
        loss="gain",
        truncation=truncation,
    )
