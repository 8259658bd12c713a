"""Order: what comes first?

A surface stands still for r pairs of frames, moves up, stands still for 2r, moves down, stands
still for r. The other class is the same video begun half-way: down first, then up. The surface
repeats, and each motion takes it through a whole period, so that it comes to rest where it began.

**Why systems are blind.** A family is such a video, f(0) .. f(P), and its twin, rotated by half
its length: f(P/2) .. f(P), f(1) .. f(P/2). As f(0) = f(P/2) = f(P), to the byte, both hold the same
frames equally often. A clip of n frames that is in one and not in the other must lie across the
seam, the end and the beginning of the other; there are r + 1 equal frames on both sides of it, so
up to n = r + 2 (stacks of L <= r + 1 pairs of flow) the bag of all clips is the same, to the byte.
Whoever joins its clips without regard to their order, by average, maximum, VLAD, Fisher vector,
attention or maximum of features, gets a tie between the twins: 1/2.

A bag of *some* clips is the same where they are s apart, s divides P / 2, and they fill the video:
`aligned` lists the numbers of snapshots for which that is so. With other numbers a system may read
the order from where its snapshots fall; `jitter` begins every family elsewhere in its rest, which
hides that in the mean, and costs as many frames of what the rest can hide.

A recurrent network, weights by segment, or clips that span the whole see the order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scripts.samples.families import CHOICE, Ceiling, blind, by_family, sees, undetermined
from scripts.samples.picture import Bytes, moving_up
from scripts.samples.question import Clip, Question


@dataclass(frozen=True, kw_only=True)
class Order(Question):
    asks: ClassVar[str] = "Does the surface move up first and then down, or the other way round?"
    parts: ClassVar[str] = (
        "An average, a maximum or a count forgets what came first; weights by part of the "
        "video and recurrent networks do not."
    )
    classes: ClassVar[tuple[str, ...]] = ("DownFirst", "UpFirst")

    name: str = "order"
    train: int = 80
    test: int = 60
    rest: int = 11
    """Pairs of frames before the first motion; twice as many lie between the two."""
    motion: int = 20
    """Pairs of frames of each motion."""
    period: int = 24
    """Rows after which the surface repeats: the way of each motion, in pixels."""
    jitter: int = 0
    """Most frames by which a family's beginning is moved, into or out of its rest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need("rest", 0 <= self.rest <= 500, "0 to 500")
        self.need("motion", 2 <= self.motion <= 500, "2 to 500")
        self.need("period", 12 <= self.period <= 512, "12 to 512")
        self.need("jitter", 0 <= self.jitter <= self.rest, "0 to the rest")

    @property
    def pairs(self) -> int:
        """Pairs of frames of a video, P; it has P + 1 frames."""
        return 4 * self.rest + 2 * self.motion

    @property
    def hidden_span(self) -> int:
        """The longest clip, in frames, whose bag is the same in both classes."""
        return self.rest - self.jitter + 2

    def states(self, shift: int = 0) -> list[int]:
        """Which of the `motion` pictures each frame of the class UpFirst shows."""
        still, up = [0] * self.rest, list(range(self.motion))
        down = [0, *up[:0:-1]]
        cycle = [*still, *up, *still, *still, *down, *still]
        return [cycle[(t + shift) % len(cycle)] for t in range(len(cycle) + 1)]

    def family(self, rng: np.random.Generator, number: int, part: str) -> Iterator[Clip]:
        pictures = self.pictures(rng)
        shift = int(rng.integers(-self.jitter, self.jitter + 1))
        half = self.pairs // 2
        for label, begin in ((1, shift), (0, shift + half)):
            first, second = self.rest - shift, self.rest - shift + half
            ways = ("up", "down") if label else ("down", "up")
            truth = {
                "moves": [
                    {"way": ways[0], "pairs": [first, first + self.motion]},
                    {"way": ways[1], "pairs": [second, second + self.motion]},
                ]
            }
            yield Clip(label, pictures[self.states(begin)], truth, twin=0)

    def pictures(self, rng: np.random.Generator) -> Bytes:
        """The frames of one motion upwards, RGB (motion, H, W, 3)."""
        step = self.period / self.motion
        return moving_up(rng, self.side, step, self.motion, rows=self.period)

    def ceilings(self) -> dict[str, Ceiling]:
        span = self.hidden_span
        hidden = f"the bag of all clips up to {span} frames is the same, begun half-way"
        return by_family(
            {
                "frame": blind(0.5, CHOICE, "both hold the same frames equally often", exact=True),
                "flow_snapshot bag_average bag_max vlad_fisher conv_pooling attention additive "
                "nonlinear_late conv_fusion centred_codes companded_codes": blind(
                    0.5, CHOICE, hidden, exact=True
                ),
                "sequence": sees(CHOICE, "it is told the snapshots one after the other"),
                "consensus_learned": sees(CHOICE, "each part of the video has its own weight"),
                "trajectories": undetermined(
                    CHOICE, f"tracks of 16 frames: blind where {span} frames are hidden"
                ),
                "clip3d_rgb clip3d_flow dense_frames every_fifth_frame": undetermined(
                    CHOICE,
                    f"blind if a mean over clips up to {span} frames, seeing where a clip spans "
                    f"all {self.pairs + 1}",
                ),
            }
        )

    def aligned(self, length: int, most: int = 100) -> list[int]:
        """Numbers of snapshots (at the middles of equal parts) whose bag is the same in twins."""
        starts = self.pairs - length + 1
        return [
            count
            for count in range(2, min(most, starts) + 1)
            if starts % count == 0 and (self.pairs // 2) % (starts // count) == 0
        ]

    def facts(self) -> dict[str, Any]:
        return {
            "hidden_span": self.hidden_span,
            "whole_span": self.pairs + 1,
            "aligned": {
                str(length): self.aligned(length)
                for length in range(1, 21)
                if length <= self.hidden_span - 1
            },
        }


LADDER = tuple(
    Order(name=f"order-{rest}", rest=rest, train=60, test=40) for rest in (4, 12, 24, 48)
)
"""Clips of 16 frames fit into the rests from 24 on, clips of 48 into the last."""
