"""What improved trajectories are asked to do: the numbers of the papers, in one frozen value."""

from __future__ import annotations

import math
from dataclasses import dataclass

from storage.errors import UserError

CAMERA = ("removed", "kept")


@dataclass(frozen=True)
class TrajectoryParams:
    """Dense sampling, which tracks are dropped, and whether the camera's motion is taken out.

    Pixels are those of the frames as they are given, whatever the scale of a track. The papers'
    numbers suit 320 x 240. What fixes the length of the descriptors (15 frames, patches of 32
    pixels in 2 x 2 x 3 cells) is no parameter: `flow.trajectories.descriptors`.
    """

    scales: int = 8
    """Most spatial scales, each 1/sqrt(2) of the one before; those under 32 pixels are left out."""
    step: int = 5
    """Pixels from one sampled point to the next, on every scale."""
    quality: float = 0.001
    """Points are not sampled where the smaller eigenvalue of the auto-correlation is under this
    share of its maximum in the frame."""
    camera: str = "removed"
    """removed (2013), or kept (2011)."""
    least_spread: float = math.sqrt(3)
    """Tracks whose standard deviation is under this in x and in y are static."""
    most_spread: float = 50.0
    """Tracks whose standard deviation is over this in x or in y are erratic."""
    longest_step: float = 20.0
    """A step longer than this, and than `step_share` of the whole track, is a jump."""
    step_share: float = 0.7
    least_motion: float = 1.0
    """With the camera removed: a track that moves by no more than this between any two frames,
    once the camera's motion is taken out, was moved by the camera alone."""

    def __post_init__(self) -> None:
        for name, allowed, good in (
            ("scales", "1 to 16", 1 <= self.scales <= 16),
            ("step", "at least 1", self.step >= 1),
            ("quality", "0 to 1, but not 1", 0 <= self.quality < 1),
            ("camera", " or ".join(CAMERA), self.camera in CAMERA),
            ("least_spread", "0 or more", self.least_spread >= 0),
            ("most_spread", "more than least_spread", self.most_spread > self.least_spread),
            ("longest_step", "over 0", self.longest_step > 0),
            ("step_share", "over 0 and at most 1", 0 < self.step_share <= 1),
            ("least_motion", "0 or more", self.least_motion >= 0),
        ):
            if not good:
                value = getattr(self, name)
                raise UserError(f"trajectory {name} is {value!r}; it must be {allowed}")
