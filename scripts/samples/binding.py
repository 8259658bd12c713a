"""Binding: which of two kinds of things moves which way?

Six round windows stand at random places, three amber and three azure; the surface in the windows
of one colour moves up, in those of the other down. The class is the colour of those that go up.

**Why systems are blind.** A family is four videos: the two ways to colour the windows x the video
and its reverse. The class is an XOR of the two, c + t mod 2.

- Flow sees grey, and the colours are equal in grey, to the byte: the two colourings have the same
  flow and opposite classes. Whatever sees flow alone gets exactly one of each two right.
- A video and its reverse hold the same frames, and have opposite classes. Whatever sees a bag of
  frames, or the middle frame, gets exactly one of each two right (snapshots at places that mirror
  each other, as this project's are when the number of frames is odd).
- A sum of both, F(c) + G(t): asked which of a video and its reverse is of class 1, it answers by
  the sign of G(1) - G(0), which is the same in both colours, while the right answer is not. It
  gets exactly half of these choices right; ties count one half. Its plain accuracy is not fixed.

Who joins the two place by place sees that what is amber goes up. A non-linear function of scores
or pooled features has no ceiling: it can read places from what networks leak.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scripts.samples.families import CHOICE, Ceiling, blind, by_family, sees, undetermined
from scripts.samples.picture import (
    CONTRAST,
    Bytes,
    Floats,
    Surface,
    background,
    exposed,
    two_colours,
    window,
)
from scripts.samples.question import Clip, Question

AMBER, AZURE = np.deg2rad(135.0), np.deg2rad(315.0)


@dataclass(frozen=True, kw_only=True)
class Binding(Question):
    asks: ClassVar[str] = "Which colour moves up: the amber discs or the azure ones?"
    parts: ClassVar[str] = (
        "A sum of two streams' scores knows which colours and which motions there are, not "
        "which belongs to which: the streams have to meet place by place."
    )
    classes: ClassVar[tuple[str, ...]] = ("AmberUp", "AzureUp")

    name: str = "binding"
    train: int = 50
    test: int = 75
    frames: int = 11
    """Frames a clip, odd: then a clip and its reverse have the same snapshots."""
    discs: int = 3
    """Of each colour."""
    speed: tuple[float, float] = (0.9, 1.6)
    """Least and most, pixels a frame."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need("frames", self.frames % 2 == 1 and 3 <= self.frames <= 999, "odd, 3 to 999")
        self.need("discs", 1 <= self.discs <= 4, "1 to 4")

    def family(self, rng: np.random.Generator, number: int, part: str) -> Iterator[Clip]:
        places = discs(rng, self.side, 2 * self.discs)
        luma, covers = self.film(rng, places)
        for coloured, hues in enumerate(((AMBER, AZURE), (AZURE, AMBER))):
            clip = two_colours(luma, hues, covers)
            for backwards in (0, 1):
                first_up = not backwards
                truth = {
                    "discs": [
                        {
                            "x": round(x, 2),
                            "y": round(y, 2),
                            "radius": round(radius, 2),
                            "colour": ("amber", "azure")[(i // self.discs) ^ coloured],
                            "moves": "up" if (i < self.discs) == first_up else "down",
                        }
                        for i, (x, y, radius) in enumerate(places)
                    ]
                }
                yield Clip(
                    label=coloured ^ backwards,
                    frames=clip[::-1] if backwards else clip,
                    truth=truth,
                    twin=coloured,
                )

    def film(
        self,
        rng: np.random.Generator,
        places: list[tuple[float, float, float]],
        paces: tuple[float, float] = (1.0, 1.0),
    ) -> tuple[Bytes, tuple[Floats, Floats]]:
        """Luma (T, H, W), the first half of the discs going up; where each half covers, (H, W).

        `paces`: how much faster each half goes; unlike ones would tell flow of the colour.
        """
        size = (self.side, self.side)
        kinds = np.array([window(self.side, (x, y), radius) for x, y, radius in places])
        covers = (kinds[: self.discs].sum(0), kinds[self.discs :].sum(0))
        surfaces = [Surface.draw(rng, size) for _ in covers]
        wall = background(rng, self.side)
        speed = rng.uniform(*self.speed)
        scenes = np.stack([wall] * self.frames)
        ways = (-paces[0], paces[1])
        for cover, surface, way in zip(covers, surfaces, ways, strict=True):
            for t, scene in enumerate(scenes):
                shown = 128 + CONTRAST * surface.at(0, way * speed * t, size)
                scene += cover * (shown - scene)
        return exposed(scenes, rng), covers

    def ceilings(self) -> dict[str, Ceiling]:
        return by_family(
            {
                "frame": blind(
                    0.5, CHOICE, "a video and its reverse hold the same frames", exact=True
                ),
                "flow_snapshot bag_average bag_max vlad_fisher conv_pooling attention "
                "consensus_learned sequence trajectories clip3d_flow centred_codes "
                "companded_codes": blind(
                    0.5,
                    CHOICE,
                    "the two colourings have the same grey, so the same flow",
                    exact=True,
                ),
                "additive": blind(
                    0.5,
                    CHOICE,
                    "F(c) + G(t) orders a video and its reverse without regard to c",
                    exact=True,
                ),
                "nonlinear_late": undetermined(
                    CHOICE, "scores and pooled features leak places: no ceiling"
                ),
                "conv_fusion": sees(CHOICE, "colour and motion meet at their place"),
                "clip3d_rgb dense_frames": sees(CHOICE, "colour and motion are in the frames"),
                "every_fifth_frame": undetermined(
                    CHOICE, "five frames move the surface about as far as its pattern repeats"
                ),
            }
        )

    def facts(self) -> dict[str, Any]:
        return {"snapshots": "any number, at this odd number of frames"}


def discs(
    rng: np.random.Generator, side: int, count: int, gap: float = 2.5
) -> list[tuple[float, float, float]]:
    """x, y and radius of discs that keep `gap` pixels from each other and from the border."""
    while True:
        places: list[tuple[float, float, float]] = []
        for _ in range(200):
            radius = float(rng.uniform(6, 7)) * side / 64
            x, y = (float(v) for v in rng.uniform(radius + gap, side - radius - gap, 2))
            if all(np.hypot(x - a, y - b) > radius + r + gap for a, b, r in places):
                places.append((x, y, radius))
            if len(places) == count:
                return places
