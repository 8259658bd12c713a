"""What and how: the question that two streams were invented for.

A surface moves up, down, nearer or farther in a still window, and has one of four colours, each
lying in a pattern of its own. A class is a colour and a motion: sixteen in all. It is the sample
data of `twostream demo`, written without loss.

**Why systems are blind.** A family is sixteen videos of one window.

- Flow sees grey, which is the same in all four colours, to the byte: whatever sees flow alone gives
  one answer to four videos of four classes, and is right at most once: exactly 1/4 at most.
- A motion is its partner played backwards, to the byte, and the middle frame is the same picture in
  all four motions: whatever sees that frame is right once in four. The mean over frames tells up
  from down as little; it could only tell moving from growing, and a frame does not, because the
  surface may lie anywhere and have any size.

A sum of both streams' scores can reach 1: one names the colour, the other the motion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from scripts.samples.families import ACCURACY, Ceiling, blind, by_family, sees, undetermined
from scripts.samples.picture import painted
from scripts.samples.question import Clip, Question
from scripts.samples.sample_classes import APPEARANCES, MOTIONS, class_name
from scripts.samples.sample_scene import Place, Window

LOOKS, MOVES = APPEARANCES[:4], MOTIONS[:4]


@dataclass(frozen=True, kw_only=True)
class WhatAndHow(Question):
    asks: ClassVar[str] = "Which of four colours is it, and which of four ways does it move?"
    parts: ClassVar[str] = (
        "A frame cannot tell how something moves, and flow cannot tell what moves: this is "
        "what two streams are for."
    )
    classes: ClassVar[tuple[str, ...]] = tuple(
        sorted(class_name(look, move) for look in LOOKS for move in MOVES)
    )

    name: str = "what-and-how"
    train: int = 24
    test: int = 10
    frames: int = 13
    """Frames a clip, odd: then the middle frame is the same in all motions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need("frames", self.frames % 2 == 1 and 3 <= self.frames <= 999, "odd, 3 to 999")

    def family(self, rng: np.random.Generator, number: int, part: str) -> Iterator[Clip]:
        place = Place.draw(rng, self.side, self.side)
        window = Window.draw(rng, place, self.frames)
        for move in MOVES:
            luma, field, cover = window.render(move)
            for look in LOOKS:
                share = cover * (0.1 + 0.9 * look.pattern(field))
                frames = painted(luma, look.hue + window.hue, share)
                label = self.classes.index(class_name(look, move))
                yield Clip(label, frames, {"look": look.name, "move": move.name})

    def ceilings(self) -> dict[str, Ceiling]:
        return by_family(
            {
                "frame": blind(
                    0.25, ACCURACY, "a frame is the same picture whichever way it moves"
                ),
                "flow_snapshot bag_average bag_max vlad_fisher conv_pooling attention "
                "consensus_learned sequence trajectories clip3d_flow centred_codes "
                "companded_codes": blind(
                    0.25, ACCURACY, "four colours have the same grey, so the same flow", exact=True
                ),
                "additive nonlinear_late conv_fusion": sees(
                    ACCURACY, "one stream names the colour, the other the motion"
                ),
                "clip3d_rgb dense_frames": sees(ACCURACY, "colour and motion are in the frames"),
                "every_fifth_frame": undetermined(
                    ACCURACY, "five frames move the surface about as far as its pattern repeats"
                ),
            }
        )
