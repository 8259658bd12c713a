"""Which features of a video are taken: options, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from storage.errors import UserError
from streams.samples import testing_moments


@dataclass(frozen=True)
class Tap:
    """Where in the network, at which moments and under which crops."""

    at: str = "pool"
    """pool: what the classifier sees; else the name of a part of the network, conv5 or fc6 for
    instance: a wrong one names them all."""
    every: int = 0
    """Frames from one step to the next, from the first moment on (0: by --snapshots)."""
    snapshots: int = 25
    """Moments a video, evenly spread, where --every is not given."""
    crops: Literal[1, 2, 3, 5, 6, 10] = 1
    """1 centre, 3 along the long side, 5 corners and centre; 2, 6, 10 with mirror images. Features
    are averaged over them; maps are taken of one crop only."""
    dtype: Literal["float16", "float32"] = "float16"
    """Numbers as they are stored."""

    def __post_init__(self) -> None:
        if self.every < 0 or self.snapshots < 1:
            raise UserError(
                f"--every {self.every} must be 0 or more, --snapshots {self.snapshots} at least 1"
            )

    def views(self) -> dict[str, int]:
        """As JSON: of the two ways to choose moments the one that counts."""
        moments = {"every": self.every} if self.every else {"snapshots": self.snapshots}
        return moments | {"crops": self.crops}

    def moments(self, there: range) -> list[int]:
        """Which of the moments at which the input can stand."""
        if self.every:
            return list(there[:: self.every])
        return [there[i] for i in testing_moments(len(there), self.snapshots)]
