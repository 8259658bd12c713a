"""Which steps of a video are a sequence: options, and the steps themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from storage.errors import UserError
from streams.aggregators import (
    Ends,
    Indices,
    back_and_forth,
    random_window,
    spaced_windows,
)


@dataclass(frozen=True)
class Windows:
    """Which steps of a video are a sequence."""

    length: int = 120
    """Steps of a sequence (0: all steps of a video)."""
    step_stride: int = 1
    """Steps from one of a sequence to the next."""
    short: Literal["back-and-forth", "mask"] = "back-and-forth"
    """Videos that are shorter are played back and forth until they are long enough, or end early
    and what is behind their end is masked."""
    window: Literal["random", "centre"] = "random"
    """Which window of a longer video is trained on."""
    ends: Ends = "once"
    """Playing back and forth, the first and the last step come once at a turn, or twice."""

    def __post_init__(self) -> None:
        if self.length < 0 or self.step_stride < 1:
            raise UserError(
                f"--length {self.length} must be 0 or more, --step-stride {self.step_stride} at "
                "least 1"
            )

    def whole(self, steps: int) -> Indices | None:
        """All steps of a video that is not cut; None where a window is to be taken."""
        every = np.arange(0, steps, self.step_stride, dtype=np.int64)
        if self.length == 0 or (self.short == "mask" and len(every) <= self.length):
            return every
        return None

    def training(self, steps: int, rng: np.random.Generator) -> Indices:
        """(length,), or fewer where they are masked."""
        whole = self.whole(steps)
        if whole is not None:
            return whole
        if self.window == "centre":
            return self.testing(steps, 1)[0]
        return random_window(steps, self.length, rng, stride=self.step_stride, ends=self.ends)

    def testing(self, steps: int, count: int) -> Indices:
        """(windows, length): `count` windows at even distances; one where they would be alike."""
        whole = self.whole(steps)
        if whole is not None:
            return whole[None]
        span = (self.length - 1) * self.step_stride + 1
        if steps < span:
            played = back_and_forth(steps, span, self.ends)
            return played[:: self.step_stride][None]
        most = min(count, steps - span + 1)
        return spaced_windows(steps, self.length, most, stride=self.step_stride, ends=self.ends)
