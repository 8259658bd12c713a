"""The contract of whatever turns the features of T steps into the logits of a video.

    logits = aggregator(x, lengths)              # (N, classes)
    weights = aggregator.weights(x, lengths)     # (N, T) or (N, T, h, w), or None
    for loss in aggregator.losses(x, labels, lengths):
        loss.backward()                          # more than one only with truncation

x is (N, T, D), or maps (N, T, D, h, w). `lengths` counts the valid
steps of each row, which come first; the steps behind them may hold anything, NaN included.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from storage.errors import UserError

Takes = Literal["vectors", "maps", "both"]
"""vectors: (N, T, D). maps: (N, T, D, h, w)."""


def valid_steps(lengths: Tensor | None, rows: int, steps: int, device: torch.device) -> Tensor:
    """lengths (N,) -> bool (N, T), true on the valid steps; None: all of them."""
    if lengths is None:
        return torch.ones(rows, steps, dtype=torch.bool, device=device)
    if lengths.shape != (rows,) or lengths.dtype not in (torch.int64, torch.int32):
        raise UserError(
            f"lengths must be {rows} whole numbers, one a video, not {lengths.dtype} "
            f"{tuple(lengths.shape)}"
        )
    if bool((lengths < 1).any()) or bool((lengths > steps).any()):
        raise UserError(
            f"lengths must be from 1 to {steps}, the steps of the input, not {lengths.tolist()}"
        )
    return torch.arange(steps, device=device) < lengths.to(device)[:, None]


def over_places(mask: Tensor, x: Tensor) -> Tensor:
    """bool (N, T) with as many dimensions as x, so that it can be held against it."""
    return mask.reshape(*mask.shape, *[1] * (x.ndim - 2))


def mean_over_steps(x: Tensor, mask: Tensor) -> Tensor:
    """(N, T, ...) -> (N, ...), the mean of the valid steps."""
    share = mask.to(x.dtype) / mask.sum(1, keepdim=True)
    return (x * over_places(share, x)).sum(1)


class Piece(NamedTuple):
    """Of a loss that is gone back through in pieces."""

    loss: Tensor
    """Scalar."""
    logits: Tensor
    """(N, classes), without a gradient: the answer as far as the pieces have come."""
    last: bool = True


class Aggregator(nn.Module, ABC):
    """(N, T, D) or (N, T, D, h, w), lengths (N,) or None -> logits (N, classes)."""

    takes: Takes = "vectors"

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        if width < 1 or classes < 1:
            raise UserError(f"{width} features and {classes} classes must both be at least 1")
        self.width, self.classes = width, classes
        """D, and the number of logits."""
        self.smoothing = 0.0
        """Of the labels, in the loss."""

    @abstractmethod
    def logits(self, x: Tensor, mask: Tensor) -> Tensor:
        """Valid steps of x are where mask (N, T) is true; elsewhere x is zero."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.logits(*self.prepare(x, lengths))

    def weights(self, x: Tensor, lengths: Tensor | None = None) -> Tensor | None:
        """How much each step (N, T), or each place of each step (N, T, h, w), counted; for
        drawing, without a gradient. None where the aggregator has no such numbers."""
        return None

    def losses(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Iterator[Tensor]:
        """The loss as scalars to go back through one after the other; their sum is the loss."""
        return (piece.loss for piece in self.pieces(x, labels, lengths))

    def pieces(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Iterator[Piece]:
        """The same, with the answer; a piece is computed when it is asked for."""
        logits = self(x, lengths)
        yield Piece(self.cross_entropy(logits, labels), logits.detach())

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over videos, labels smoothed."""
        return functional.cross_entropy(logits, labels, label_smoothing=self.smoothing)

    def prepare(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """x with zeros behind each row's end, and where the valid steps are."""
        dimensions = {"vectors": (3,), "maps": (5,), "both": (3, 5)}[self.takes]
        if x.ndim not in dimensions or x.shape[2] != self.width or 0 in x.shape:
            shapes = {3: f"(N, T, {self.width})", 5: f"(N, T, {self.width}, h, w)"}
            allowed = " or ".join(shapes[d] for d in dimensions)
            raise UserError(
                f"{type(self).__name__} takes {allowed}, not {tuple(x.shape)}; give features "
                "of the network, and at the stage, for which it was built"
            )
        mask = valid_steps(lengths, x.shape[0], x.shape[1], x.device)
        if lengths is not None:
            x = x.masked_fill(~over_places(mask, x), 0)
        return x, mask
