"""Fine: a motion so slow that coarse codes do not keep it.

A surface moves up or down by 0.015 pixels a frame, the whole window alike, with little grain.

**Why systems are blind.** The rule `centred` with bound 20 px rounds a component to steps of
40 / 255 = 0.157 px around 0, so that everything under 0.078 px becomes the code of rest; `truncate`
cuts at multiples of the same step, and rest lies in the middle of one: the same dead zone. Of a
motion of 0.015 px, whose flow strays by less than that, nothing is kept: all codes are those of
rest, in both classes. This is no theorem about TV-L1: how many codes differ from rest is measured
in the tests. `round` has the border between two codes at 0 and keeps the sign; `companded` has
steps of 0.028 px at rest and keeps it where the flow reaches half of one: a quarter of the codes.
A store's own coding moves vectors too; `extract --codec lossless` leaves that out of the question.

A clip and its reverse hold the same frames, and the surface may lie anywhere: a frame tells
nothing. Frames that are stored without loss do hold the motion, a fifth of a grey level a frame:
whether a network reads it there is not determined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scripts.samples.families import CHOICE, Ceiling, blind, by_family, sees, undetermined
from scripts.samples.picture import moving_up
from scripts.samples.question import Clip, Question


@dataclass(frozen=True, kw_only=True)
class Fine(Question):
    asks: ClassVar[str] = "Does the surface move up or down, by a hundredth of a pixel a frame?"
    parts: ClassVar[str] = (
        "Codes with a wide step around rest round this motion away, before any network sees it."
    )
    classes: ClassVar[tuple[str, ...]] = ("Down", "Up")

    name: str = "fine"
    train: int = 100
    test: int = 75
    frames: int = 13
    """Frames a clip, odd: then a clip and its reverse have the same snapshots."""
    step: float = 0.015
    """Pixels a frame."""
    grain: float = 0.5
    """Deviation of the sensor's noise, grey levels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need("frames", self.frames % 2 == 1 and 3 <= self.frames <= 999, "odd, 3 to 999")
        self.need("step", 0 < self.step <= 4, "over 0, up to 4")
        self.need("grain", 0 <= self.grain <= 10, "0 to 10")

    def family(self, rng: np.random.Generator, number: int, part: str) -> Iterator[Clip]:
        clip = moving_up(
            rng,
            self.side,
            self.step,
            self.frames,
            rows=self.side,
            share=(0.25, 0.375),
            grain=self.grain,
        )
        yield Clip(1, clip, {"way": "up", "pixels": self.step}, twin=0)
        yield Clip(0, clip[::-1], {"way": "down", "pixels": self.step}, twin=0)

    def ceilings(self) -> dict[str, Ceiling]:
        return by_family(
            {
                "frame": blind(
                    0.5, CHOICE, "a video and its reverse hold the same frames", exact=True
                ),
                "centred_codes": blind(0.5, CHOICE, "codes of rest only, in both classes"),
                "companded_codes flow_snapshot bag_average bag_max vlad_fisher conv_pooling "
                "attention consensus_learned sequence clip3d_flow": sees(
                    CHOICE, "companded or rounded codes keep the sign of the motion"
                ),
                "additive nonlinear_late conv_fusion": sees(
                    CHOICE, "one of its streams is flow, in companded or rounded codes"
                ),
                "trajectories": undetermined(
                    CHOICE, "tracks this short are taken for things that stand still"
                ),
                "dense_frames every_fifth_frame clip3d_rgb": undetermined(
                    CHOICE, "the motion is in the frames, under the noise of each pixel"
                ),
            }
        )

    def facts(self) -> dict[str, Any]:
        return {"dead_zone": 20 / 255, "pixels": self.step, "extract": ["--codec", "lossless"]}
