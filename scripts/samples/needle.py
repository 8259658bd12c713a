"""Needle: a few frames decide, among many that do not.

A surface moves up, down, left and right in runs, the same runs for every class; for 8 pairs of
frames it moves along a diagonal, and which one is the class.

**Why systems are blind.** A family is four videos that differ in nothing but the needle. The
surface repeats, and the needle takes it through a whole period both ways, so that before and after
it all four show the same frames, to the byte. A snapshot of L pairs that does not overlap the
needle therefore is right once in four; one that does may be right always. Of the P - L + 1 places
of a snapshot, n + L - 1 overlap a needle of n pairs (`margin` pairs or more from both ends), so one
random snapshot reaches p + (1 - p) / C at most, p = (n + L - 1) / (P - L + 1).

Who looks at the whole video, by mean, maximum or attention, sees the needle; the question does not
part them. It shows where attention looks, for the truth is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scripts.samples.families import ACCURACY, Ceiling, blind, by_family, sees, undetermined
from scripts.samples.picture import (
    CONTRAST,
    Surface,
    background,
    drawn_window,
    exposed,
    painted,
)
from scripts.samples.question import Clip, Question

AXES = ((0, -1), (0, 1), (-1, 0), (1, 0))
DIAGONALS = {"DownLeft": (-1, 1), "DownRight": (1, 1), "UpLeft": (-1, -1), "UpRight": (1, -1)}


@dataclass(frozen=True, kw_only=True)
class Needle(Question):
    asks: ClassVar[str] = "Along which diagonal does the surface move, for a moment?"
    parts: ClassVar[str] = (
        "Whoever looks at one random moment mostly misses the one that decides; whoever looks "
        "everywhere, or knows where to look, does not."
    )
    classes: ClassVar[tuple[str, ...]] = tuple(DIAGONALS)
    mirror_safe: ClassVar[bool] = False

    name: str = "needle"
    train: int = 80
    test: int = 40
    pairs: int = 80
    """Pairs of frames of a video, P."""
    needle: int = 8
    """Pairs of frames that decide, n."""
    step: int = 2
    """Pixels a frame, each way; the surface repeats after needle x step."""
    run: int = 8
    """Pairs of frames of each distracting motion."""
    margin: int = 10
    """Least pairs between the needle and either end: for snapshots up to margin + 1 pairs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need("needle", 1 <= self.needle <= 100, "1 to 100")
        self.need("step", 1 <= self.step <= 4, "1 to 4")
        self.need("run", 1 <= self.run <= 100, "1 to 100")
        self.need("margin", 0 <= self.margin <= 100, "0 to 100")
        least = self.needle + 2 * self.margin
        self.need("pairs", least <= self.pairs <= 2000, f"{least} (needle, 2 margins) to 2000")

    def family(self, rng: np.random.Generator, number: int, part: str) -> Iterator[Clip]:
        size, period = (self.side, self.side), self.needle * self.step
        surface = Surface.draw(rng, (period, period), 7.0)
        cover, wall = drawn_window(rng, self.side, 0.3, 0.4), background(rng, self.side)
        noise_seed = int(rng.integers(2**31))
        hue, begin = rng.uniform(0, 2 * np.pi), rng.uniform(0, period, 2)
        start = int(rng.integers(self.margin, self.pairs - self.needle - self.margin + 1))
        runs = self.distraction(rng)
        shown: dict[tuple[int, int], np.ndarray] = {}
        for label, way in enumerate(DIAGONALS.values()):
            moves = [*runs[:start], *[way] * self.needle, *runs[start:]]
            places = np.cumsum([(0, 0), *moves], axis=0) * self.step % period
            for x, y in {(int(x), int(y)) for x, y in places} - set(shown):
                shown[x, y] = surface.at(begin[0] + x, begin[1] + y, size)
            scenes = wall + cover * (
                128 + CONTRAST * np.stack([shown[int(x), int(y)] for x, y in places]) - wall
            )
            luma = exposed(scenes, np.random.default_rng(noise_seed))
            truth = {"needle": [start, start + self.needle]}
            yield Clip(label, painted(luma, hue, 0.15 + 0.35 * cover), truth)

    def distraction(self, rng: np.random.Generator) -> list[tuple[int, int]]:
        """The way of each pair outside the needle; the first run is of any length."""
        count = self.pairs - self.needle
        skip = int(rng.integers(self.run))
        ways: list[int] = []
        while len(ways) < count + skip:
            last = ways[-1] if ways else -1
            ways += [int(rng.choice([way for way in range(4) if way != last]))] * self.run
        return [AXES[way] for way in ways[skip : skip + count]]

    def snapshot_ceiling(self, length: int) -> float:
        """p + (1 - p) / C for one random snapshot of `length` pairs."""
        share = (self.needle + length - 1) / (self.pairs - length + 1)
        return share + (1 - share) / len(self.classes)

    def ceilings(self) -> dict[str, Ceiling]:
        return by_family(
            {
                "frame": blind(
                    0.25, ACCURACY, "the surface may lie anywhere, whichever way it goes"
                ),
                "flow_snapshot": blind(
                    self.snapshot_ceiling(5),
                    ACCURACY,
                    "p + (1 - p) / 4, p the share of snapshots of 5 pairs that overlap the needle",
                    exact=True,
                ),
                "bag_average bag_max additive nonlinear_late conv_fusion vlad_fisher "
                "conv_pooling attention consensus_learned sequence trajectories clip3d_flow "
                "companded_codes centred_codes": sees(
                    ACCURACY, "tested densely, some snapshots lie on the needle"
                ),
                "clip3d_rgb dense_frames": sees(
                    ACCURACY, "tested densely, some clips lie on the needle"
                ),
                "every_fifth_frame": undetermined(
                    ACCURACY, "five frames move the surface by more than half its period"
                ),
            }
        )

    def facts(self) -> dict[str, Any]:
        return {
            "snapshot_ceilings": {
                str(length): self.snapshot_ceiling(length) for length in range(1, self.margin + 2)
            },
            "uniform_weight_on_needle": {
                str(length): (self.needle + length - 1) / (self.pairs - length + 1)
                for length in range(1, self.margin + 2)
            },
        }


LONG = Needle(name="needle-320", pairs=320, train=40, test=20)
