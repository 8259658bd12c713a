"""The five ways of pooling of Beyond Short Snippets (Ng et al., CVPR 2015), section 3.1."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from storage.errors import UserError
from streams.aggregators.aggregator import Aggregator
from streams.aggregators.pooling import maximum_over_steps, share_of_maxima

Variant = Literal["conv", "late", "slow", "local", "time-domain"]
"""conv: the maximum over time of the last maps, place by place, then two fully connected layers.
late: the two layers at every step, then the maximum.
slow: maxima of windows of 10 steps, 5 apart, a shared layer on each, then the maximum of those,
and the second layer.
local: maxima of the same windows, both layers on each, shared; the classifier sees all of them.
time-domain: 256 kernels of 3x3 places and 10 steps, 5 apart, before the maximum of conv."""

KERNELS = 256


class ConvPooling(Aggregator):
    """Maps (N, T, D, h, w), or features (N, T, D), -> logits.

    The last window reaches over the end where the steps do not divide; it sees what there is (the
    convolution sees zeros there). `local` has a place in its classifier for each window of
    `frames` steps; windows that a short video lacks are zero.
    """

    takes = "both"

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        variant: Variant = "conv",
        places: tuple[int, int] = (1, 1),
        hidden: int = 4096,
        dropout: float = 0.5,
        window: int = 10,
        stride: int = 5,
        frames: int = 120,
    ) -> None:
        """`places` is (h, w) of the maps; (1, 1) for features without places."""
        super().__init__(width, classes)
        if variant not in get_args(Variant):
            raise UserError(
                f"--extra variant={variant} is not one of {', '.join(get_args(Variant))}"
            )
        if not 1 <= stride <= window:
            raise UserError(f"--extra stride={stride} must be from 1 to the window, {window}")
        self.variant, self.places = variant, tuple(places)
        self.window, self.stride, self.frames = window, stride, frames
        channels = width
        if variant == "time-domain":
            rows, columns = (3 if side > 1 else 1 for side in places)
            self.conv = nn.Conv3d(
                width,
                KERNELS,
                (window, rows, columns),
                (stride, 1, 1),
                (0, rows // 2, columns // 2),
            )
            channels = KERNELS
        self.fc1 = layer(channels * math.prod(places), hidden, dropout)
        self.fc2 = layer(hidden, hidden, dropout)
        towers = self.towers(frames) if variant == "local" else 1
        self.head = nn.Linear(towers * hidden, classes)

    def towers(self, steps: int) -> int:
        """Windows that cover so many steps."""
        return 1 + math.ceil(max(0, steps - self.window) / self.stride)

    def padded(self, x: Tensor, value: float) -> Tensor:
        """x with as many steps as its windows cover."""
        steps = (self.towers(x.shape[1]) - 1) * self.stride + self.window
        return functional.pad(x, (0, 0) * (x.ndim - 2) + (0, steps - x.shape[1]), value=value)

    def tower_mask(self, mask: Tensor) -> Tensor:
        """(N, T) -> (N, towers): the windows that a video of that length has."""
        before = torch.arange(self.towers(mask.shape[1]), device=mask.device)[None] - 1
        count = mask.sum(1, keepdim=True)
        return (before < 0) | (before * self.stride + self.window < count)

    def window_maxima(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, F) -> (N, towers, F), and which of them there are."""
        x = self.padded(x.masked_fill(~mask[:, :, None], -torch.inf), -torch.inf)
        maxima = x.unfold(1, self.window, self.stride).amax(-1)
        valid = self.tower_mask(mask)
        return maxima.masked_fill(~valid[:, :, None], 0), valid

    def over_time(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The temporal convolution: (N, T, D, h, w) -> (N, towers, 256 h w)."""
        y = self.conv(self.padded(x, 0).transpose(1, 2)).relu()
        return y.transpose(1, 2).flatten(2), self.tower_mask(mask)

    def features(self, x: Tensor, mask: Tensor) -> Tensor:
        """What the classifier sees: (N, hidden), of `local` (N, towers, hidden) in one row."""
        if self.variant == "time-domain":
            return self.fc2(self.fc1(maximum_over_steps(*self.over_time(x, mask))))
        x = x.flatten(2)
        if self.variant == "conv":
            return self.fc2(self.fc1(maximum_over_steps(x, mask)))
        if self.variant == "late":
            return maximum_over_steps(self.fc2(self.fc1(x)), mask)
        maxima, valid = self.window_maxima(x, mask)
        if self.variant == "slow":
            return self.fc2(maximum_over_steps(self.fc1(maxima), valid))
        own = self.fc2(self.fc1(maxima)) * valid[:, :, None]
        return functional.pad(own.flatten(1), (0, self.head.in_features - own[0].numel()))

    def logits(self, x: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x, mask))
        return logits

    def prepare(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        x, mask = super().prepare(x, lengths)
        if x.ndim == 3:
            x = x[..., None, None]
        if tuple(x.shape[3:]) != self.places:
            raise UserError(
                f"conv pooling was built for maps of {self.places}, not {tuple(x.shape[3:])}"
            )
        if self.variant == "local" and x.shape[1] > self.frames:
            raise UserError(
                f"local pooling was built for {self.frames} steps, not {x.shape[1]}; give --length "
                f"{x.shape[1]} at training, or shorter windows"
            )
        return x, mask

    @torch.no_grad()
    def weights(self, x: Tensor, lengths: Tensor | None = None) -> Tensor | None:
        """conv, late: the share of the maxima that lie at each step."""
        x, mask = self.prepare(x, lengths)
        if self.variant == "conv":
            return share_of_maxima(x, mask)
        if self.variant == "late":
            return share_of_maxima(self.fc2(self.fc1(x.flatten(2))), mask)
        return None


def layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout))
