"""Strobe: a motion that whoever blinks cannot see.

A surface that repeats after 10 rows moves up or down by 2 pixels a frame: every fifth frame is the
same picture, to the byte.

**Why systems are blind.** Frames 5, 10 or 15 apart are equal, so whoever looks at such frames only
sees one picture. A family is ten videos, the two ways x the five phases to begin with: at any frame
t the five videos of each class show the same five pictures. So a function of frames t, t + 5, ...
gives the same five answers in both classes, and is right in exactly half of the ten.

Whoever looks at neighbouring frames sees the motion: flow, early fusion, dense 3-D convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scripts.samples.families import ACCURACY, Ceiling, blind, by_family, sees
from scripts.samples.picture import Bytes, moving_up
from scripts.samples.question import Clip, Question


@dataclass(frozen=True, kw_only=True)
class Strobe(Question):
    asks: ClassVar[str] = "Does the surface move up or down, if every fifth frame is the same?"
    parts: ClassVar[str] = (
        "Whoever looks at every fifth frame sees a still picture: neighbouring frames have to "
        "be looked at together."
    )
    classes: ClassVar[tuple[str, ...]] = ("Down", "Up")

    name: str = "strobe"
    train: int = 24
    test: int = 16
    frames: int = 31
    """Frames a clip."""
    every: int = 5
    """Frames after which the picture comes again."""
    step: float = 2.0
    """Pixels a frame; the surface repeats after every x step, a whole number of rows."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need("every", 3 <= self.every <= 50, "3 to 50")
        self.need("frames", self.every < self.frames <= 2000, "over --every, up to 2000")
        whole = float(self.every * self.step).is_integer()
        self.need("step", whole and 8 <= self.every * self.step <= 64, "a period of 8 to 64 rows")

    def family(self, rng: np.random.Generator, number: int, part: str) -> Iterator[Clip]:
        pictures = self.pictures(rng)
        for phase in range(self.every):
            for label, way in ((0, -1), (1, 1)):
                # The second begins where the first ends, so that it is the same played backwards.
                begin = phase if way > 0 else phase + self.frames - 1
                states = (begin + way * np.arange(self.frames)) % self.every
                truth = {"way": "up" if way > 0 else "down", "period": self.every}
                yield Clip(label, pictures[states], truth, twin=phase)

    def pictures(self, rng: np.random.Generator) -> Bytes:
        """One period of the motion upwards, RGB (every, H, W, 3)."""
        rows = round(self.every * self.step)
        return moving_up(rng, self.side, self.step, self.every, rows=rows)

    def ceilings(self) -> dict[str, Ceiling]:
        same = "it sees one picture, and each class shows the same five"
        return by_family(
            {
                "frame": blind(0.5, ACCURACY, same, exact=True),
                "every_fifth_frame": blind(0.5, ACCURACY, same, exact=True),
                "flow_snapshot bag_average bag_max vlad_fisher conv_pooling attention "
                "consensus_learned sequence trajectories clip3d_flow centred_codes "
                "companded_codes": sees(ACCURACY, "flow joins neighbouring frames"),
                "additive nonlinear_late conv_fusion": sees(ACCURACY, "one of its streams is flow"),
                "dense_frames clip3d_rgb": sees(ACCURACY, "it looks at neighbouring frames"),
            }
        )

    def facts(self) -> dict[str, Any]:
        return {
            "same_after": [self.every * k for k in range(1, (self.frames - 1) // self.every + 1)]
        }
