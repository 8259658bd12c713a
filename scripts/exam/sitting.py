"""One question with one seed: how it is put to the systems, and where its files lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from scripts.exam.budget import Budget
from scripts.samples import QUESTIONS, Question
from storage.errors import UserError

SCHOOL = "what-and-how"
LENGTH = 5
"""Pairs of frames in a stack of flow, for every system on stacks."""


@dataclass(frozen=True)
class Setting:
    """How a question is put, so that its proof holds for these very snapshots."""

    flow: int
    """Snapshots of flow that a video is scored by."""
    frames: int
    """Frames that a video is scored by."""
    clips: int = 4
    """Clips of frames that a video is scored by."""
    school: bool = False
    """Its labels say nothing of a single snapshot, so nothing learns to see from them: networks
    start from those of the first question, and frozen features are theirs."""
    extract: tuple[str, ...] = ()


SETTINGS: dict[str, Setting] = {
    "what-and-how": Setting(4, 1),
    # 11 frames, an odd number: snapshots of a video and its reverse mirror each other.
    "binding": Setting(6, 5, clips=2, school=True),
    # 81 stacks: 40 of them lie 2 apart, which divides half the period of 42 (`facts.aligned`).
    "order": Setting(40, 85, clips=4, school=True),
    "needle": Setting(38, 16, clips=12),
    # One snapshot within each motion.
    "variety": Setting(8, 8, clips=8, school=True),
    "strobe": Setting(5, 5, clips=4),
    "fine": Setting(4, 1, clips=1, extract=("--codec", "lossless")),
    "scene": Setting(4, 1, clips=2),
}


@dataclass(frozen=True)
class Sitting:
    """A question with a seed, in a folder of the exam."""

    out: Path
    """The exam's folder."""
    question: Question
    setting: Setting
    budget: Budget

    @classmethod
    def of(cls, out: Path, name: str, seed: int, budget: Budget) -> Sitting:
        if name not in SETTINGS:
            raise UserError(f"--questions {name!r} is not one of {', '.join(SETTINGS)}")
        asked = QUESTIONS[name]
        sizes = {
            part: max(1 if part == "test" else 4, round(getattr(asked, part) * budget.families))
            for part in ("train", "test")
        }
        return cls(out, replace(asked, seed=seed, **sizes), SETTINGS[name], budget)

    @property
    def name(self) -> str:
        return self.question.name

    @property
    def seed(self) -> int:
        return self.question.seed

    @property
    def folder(self) -> Path:
        return self.out / self.name / f"seed-{self.seed}"

    @property
    def lists(self) -> Path:
        return self.folder / "lists"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def run(self, name: str) -> Path:
        return self.folder / "runs" / name

    def features(self, name: str) -> Path:
        return self.folder / "features" / name

    def scores(self, name: str, part: str = "test") -> Path:
        return self.folder / "scores" / (f"{name}.npz" if part == "test" else f"{name}-{part}.npz")

    def at_school(self) -> Sitting:
        """Where the networks learned to see that this question starts from."""
        return Sitting.of(self.out, SCHOOL, self.seed, self.budget) if self.setting.school else self

    @property
    def videos(self) -> dict[str, int]:
        """Part -> its number of videos."""
        question = self.question
        return {
            part: getattr(question, part) * family_shape(question.name, part)[0]
            for part in ("train", "test")
        }

    @property
    def pairs(self) -> int:
        """Pairs of frames of all videos."""
        return sum(self.videos.values()) * (family_shape(self.name, "test")[1] - 1)


@cache
def family_shape(name: str, part: str) -> tuple[int, int]:
    """Videos of a family of a question, and frames of each."""
    rng = np.random.default_rng(0)
    family = list(QUESTIONS[name].family(rng, 0, part))
    return len(family), len(family[0].frames)
