"""Variety: always the same, or half and half?

Eight times a surface moves through its whole period, up or down, and rests between. Class Same:
eight times up, or eight times down. Class Mixed: four times each, in any order.

**Why systems are blind.** A family is four videos: up (U), down (D), a mixture M, and its opposite
M', which goes up where M goes down. The surface comes to rest on the frame it began with, to the
byte, and rests for at least as long as a stack reaches (2 r >= L - 1). So whatever a snapshot shows
at a moment in M is what it shows at that moment in U or D, and M' shows the other.

- A sum over snapshots, each moment with a weight of its own if one likes: s(M) + s(M') =
  s(U) + s(D). So M lies over U by as much as M' lies under D: of the choices between U and M
  and between D and M', exactly one is right, or both are ties. And four right decisions would
  need both Ms on one side of a threshold and U and D on the other: at most three, accuracy 3/4.
- The maximum over time of each class's score: if U and D are told right, the greatest score of
  Same over both lies above the greatest of Mixed, and the mixture in which it stands is taken for
  Same. At most 3/4.
- A weighted mean of features, weights from the same features, then a linear classifier: multiplied
  by its positive weights the score is a sum again. At most 3/4.

Counts of features by kind after a square root or an intra-normalisation, the maximum of each
feature, and recurrent networks are no sums: they see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scripts.samples.families import ACCURACY, CHOICE, Ceiling, blind, by_family, sees, undetermined
from scripts.samples.picture import Bytes, moving_up
from scripts.samples.question import Clip, Question


@dataclass(frozen=True, kw_only=True)
class Variety(Question):
    asks: ClassVar[str] = "Does the surface always move the same way, or half the time each way?"
    parts: ClassVar[str] = (
        "The mean of half and half lies in the middle, where a sum of scores cannot draw a "
        "class; counts, maxima and memories can."
    )
    classes: ClassVar[tuple[str, ...]] = ("Mixed", "Same")

    name: str = "variety"
    train: int = 40
    test: int = 40
    pieces: int = 8
    """Motions of a video, even: as many snapshots suit it."""
    rest: int = 2
    """Pairs of frames before and after each motion: for stacks up to 2 rest + 1."""
    motion: int = 8
    """Pairs of frames of a motion."""
    period: int = 16
    """Rows after which the surface repeats: the way of a motion, in pixels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need("pieces", self.pieces % 2 == 0 and 2 <= self.pieces <= 64, "even, 2 to 64")
        self.need("rest", 0 <= self.rest <= 100, "0 to 100")
        self.need("motion", 2 <= self.motion <= 100, "2 to 100")
        self.need("period", 12 <= self.period <= 512, "12 to 512")

    @property
    def pairs(self) -> int:
        return self.pieces * (2 * self.rest + self.motion)

    def states(self, ups: NDArray[np.bool_]) -> list[int]:
        """Which of the `motion` pictures each frame shows, for the way of each piece."""
        still, up = [0] * self.rest, list(range(self.motion))
        down = [0, *up[:0:-1]]
        return [s for way in ups for s in (*still, *(up if way else down), *still)] + [0]

    def family(self, rng: np.random.Generator, number: int, part: str) -> Iterator[Clip]:
        pictures = self.pictures(rng)
        mixture = rng.permutation(self.pieces) < self.pieces // 2
        always = np.ones(self.pieces, bool)
        for label, ups, twin in (
            (1, always, 0),
            (0, mixture, 0),
            (1, ~always, 1),
            (0, ~mixture, 1),
        ):
            truth = {"pieces": ["up" if way else "down" for way in ups]}
            yield Clip(label, pictures[self.states(ups)], truth, twin)

    def pictures(self, rng: np.random.Generator) -> Bytes:
        """The frames of one motion upwards, RGB (motion, H, W, 3)."""
        step = self.period / self.motion
        return moving_up(rng, self.side, step, self.motion, rows=self.period, wavelength=8.0)

    def ceilings(self) -> dict[str, Ceiling]:
        quarters = "if both pure videos are told right, one of the mixtures is not"
        return by_family(
            {
                "frame": blind(0.5, CHOICE, "all four hold the same frames", exact=True),
                "flow_snapshot": blind(
                    0.5, CHOICE, "up and down are equally frequent in both classes", exact=True
                ),
                "bag_average additive consensus_learned conv_fusion centred_codes "
                "companded_codes": blind(
                    0.5, CHOICE, "a sum over snapshots: s(M) + s(M') = s(U) + s(D)", exact=True
                ),
                "bag_max attention": blind(0.75, ACCURACY, quarters, exact=True),
                "nonlinear_late": undetermined(
                    CHOICE, "a function of averages can tell the middle from both ends"
                ),
                "vlad_fisher": sees(CHOICE, "after its normalisation no sum"),
                "conv_pooling": sees(CHOICE, "both motions leave their greatest feature"),
                "sequence": sees(CHOICE, "it remembers what it has seen"),
                "trajectories": sees(CHOICE, "a Fisher vector, after its root no sum"),
                "clip3d_rgb clip3d_flow dense_frames": undetermined(
                    CHOICE,
                    "blind where means over clips within a motion, seeing where they span more",
                ),
                "every_fifth_frame": undetermined(CHOICE, "its frames span more than one motion"),
            }
        )

    def facts(self) -> dict[str, Any]:
        return {"longest_stack": 2 * self.rest + 1, "snapshots": self.pieces}
