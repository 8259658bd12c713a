"""Scene: a background that agrees with the class, until it does not.

The window and the motions of the sample data (up, down, nearer, farther), before a background of
one of four colours. In training the colour agrees with the motion, always or in four of five
videos; in the test part every clip stands before every background.

**Why systems are blind.** A test family is sixteen videos: one window, four motions, four
backgrounds. A reader of the background gives one answer a background, which is right for one of the
four motions: exactly 1/4. So does a reader of the middle frame, which is the same picture in all
four motions, to the byte. On validation cut from the training list the same reader reaches what the
background agrees: validation does not show the fault.

The backgrounds differ in colour only and have the same grey, to the byte, so that flow does not
see them: whatever sees flow alone can reach 1. Where the agreement is complete nothing tells a
system that sees both which cue to use: undetermined. At 0.8 the motion alone explains all videos.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scripts.samples.families import ACCURACY, Ceiling, blind, by_family, sees, undetermined
from scripts.samples.picture import two_colours
from scripts.samples.question import Clip, Question
from scripts.samples.sample_classes import MOTIONS
from scripts.samples.sample_scene import Place, Window

COLOURS = {"Amber": 135.0, "Azure": 315.0, "Green": 225.0, "Violet": 45.0}
"""Hue of each background, degrees."""


@dataclass(frozen=True, kw_only=True)
class Scene(Question):
    asks: ClassVar[str] = (
        "Is it the motion that is learned, or the background it was filmed before?"
    )
    parts: ClassVar[str] = (
        "The background agrees with the class while it is learned, and not when it is tested; "
        "validation does not show it."
    )
    classes: ClassVar[tuple[str, ...]] = tuple(sorted(move.name for move in MOTIONS[:4]))

    name: str = "scene"
    train: int = 150
    test: int = 20
    frames: int = 17
    """Frames a clip, odd: then the middle frame is the same in all motions. More than 15, which is
    how long improved trajectories are."""
    agreement: float = 0.8
    """Share of the training videos whose background is that of their class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need("frames", self.frames % 2 == 1 and 3 <= self.frames <= 999, "odd, 3 to 999")
        self.need("agreement", 0.25 <= self.agreement <= 1, "0.25 to 1")

    def family(self, rng: np.random.Generator, number: int, part: str) -> Iterator[Clip]:
        place = Place.draw(rng, self.side, self.side)
        window = Window.draw(rng, place, self.frames)
        hue = rng.uniform(0, 2 * np.pi)
        (x, y), radius = window.centre, window.radius
        at = {"x": round(x, 2), "y": round(y, 2), "radius": round(radius, 2)}
        for move in MOTIONS[:4]:
            label = self.classes.index(move.name)
            luma, _, cover = window.render(move)
            behind = range(4) if part == "test" else [self.behind(label, number)]
            for colour in behind:
                name, degrees = list(COLOURS.items())[colour]
                frames = two_colours(
                    luma,
                    (hue, np.deg2rad(degrees)),
                    (0.6 * (cover > 0.5), 0.5 * (cover <= 0.5)),
                )
                truth = {"background": name, "agrees": colour == label, "window": at}
                yield Clip(label, frames, truth)

    def behind(self, label: int, number: int) -> int:
        """The background of a training video: its class's, but for a fixed share of the families,
        spread evenly over them, which get each of the other three in turn."""
        share = 1 - self.agreement
        turn = number + label  # else all motions of one family would disagree at once
        odd_ones = int(np.floor((turn + 1) * share + 1e-9))
        if odd_ones == int(np.floor(turn * share + 1e-9)):
            return label
        return (label + 1 + odd_ones % 3) % 4

    def ceilings(self) -> dict[str, Ceiling]:
        seeing = sees(ACCURACY, "it sees the motion, which alone explains every training video")
        unsure = undetermined(ACCURACY, "both cues explain every training video")
        both = unsure if self.agreement == 1 else seeing
        return by_family(
            {
                "frame": blind(
                    0.25, ACCURACY, "a background is right for one motion of four", exact=True
                ),
                "flow_snapshot bag_average bag_max vlad_fisher conv_pooling attention "
                "consensus_learned sequence trajectories clip3d_flow centred_codes "
                "companded_codes": sees(ACCURACY, "flow does not see the background's colour"),
                "additive nonlinear_late conv_fusion clip3d_rgb dense_frames": both,
                "every_fifth_frame": undetermined(
                    ACCURACY, "five frames move the surface about as far as its pattern repeats"
                ),
            }
        )

    def facts(self) -> dict[str, Any]:
        return {"backgrounds": list(COLOURS), "background_on_validation": self.agreement}


CERTAIN = Scene(name="scene-certain", agreement=1.0)
