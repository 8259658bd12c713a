"""A question of the exam: videos in families of twins, and what can be known of the answer.

Everything that is random is drawn once a family; the clips of a family differ in nothing but what
the question asks for. That makes its ceilings exact where a proof says "twins": they hold for
these very videos, not only for the world they were drawn from.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scripts.samples.families import Ceiling, ceilings_as_json
from scripts.samples.lossless import write_lossless
from storage.errors import UserError


@dataclass(frozen=True)
class Clip:
    """One video before it is written."""

    label: int
    frames: NDArray[np.uint8]
    """(T, H, W, 3), RGB."""
    truth: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: what is known of this clip beyond its class."""
    twin: int | None = None
    """The number of a pair within the family: of the two that share it, a forced choice says
    which is of which class."""


@dataclass(frozen=True)
class Listed:
    """A clip and where it is listed."""

    name: str
    """<Class>/v_<Class>_gXXX_cYY.avi."""
    group: int
    """The number of its family: twins are never parted."""
    part: str
    """train or test."""
    clip: Clip


@dataclass(frozen=True, kw_only=True)
class Question(ABC):
    """A question and how many videos it gets. Its sub-classes say how a family is made."""

    name: str
    asks: ClassVar[str]
    """In one sentence."""
    parts: ClassVar[str]
    """Which ideas it tells apart, and why, in one sentence."""
    classes: ClassVar[tuple[str, ...]]
    """In the order of classInd.txt, which is the alphabet's."""
    mirror_safe: ClassVar[bool] = True
    """A mirror image is of the same class."""

    seed: int = 0
    """The same seed gives the same bytes."""
    train: int = 60
    """Families in the training part."""
    test: int = 40
    """Families in the test part."""
    side: int = 64
    """Pixels, both ways."""

    def __post_init__(self) -> None:
        self.need("seed", self.seed >= 0, "0 or more")
        self.need("train", 1 <= self.train <= 4000, "1 to 4000")
        self.need("test", 1 <= self.test <= 4000, "1 to 4000")
        self.need("side", self.side % 2 == 0 and 48 <= self.side <= 512, "even, 48 to 512")

    def need(self, option: str, fine: bool, allowed: str) -> None:
        if not fine:
            value = getattr(self, option)
            raise UserError(f"{self.name}: --{option} is {value}; it must be {allowed}")

    @abstractmethod
    def family(self, rng: np.random.Generator, number: int, part: str) -> Iterator[Clip]:
        """The clips of one family. `number` counts the families of a part from 0."""

    @abstractmethod
    def ceilings(self) -> dict[str, Ceiling]:
        """What each of the FAMILIES can reach."""

    def facts(self) -> dict[str, Any]:
        """What else a reader of the results has to know: JSON values."""
        return {}

    def size(self) -> int:
        """Clips of both parts; one family of each is made to count its members."""
        rng = np.random.default_rng(0)
        counts = (("train", self.train), ("test", self.test))
        return sum(count * len(list(self.family(rng, 0, part))) for part, count in counts)

    def clips(self) -> Iterator[Listed]:
        """All clips, family by family; the test part comes first, as in UCF-101."""
        for number in range(self.test + self.train):
            part = "test" if number < self.test else "train"
            rng = np.random.default_rng([self.seed, number])
            within = number if part == "test" else number - self.test
            takes: dict[int, int] = defaultdict(int)
            for clip in self.family(rng, within, part):
                takes[clip.label] += 1
                cls = self.classes[clip.label]
                file = f"v_{cls}_g{number + 1:03}_c{takes[clip.label]:02}.avi"
                yield Listed(f"{cls}/{file}", number + 1, part, clip)


def make_question(
    out: str | Path, question: Question, clips: Iterator[Listed] | None = None
) -> dict[str, Any]:
    """Write OUT/videos and OUT/lists; returns what stands in ceilings.json.

    lists/ holds classInd.txt, trainlist01.txt and testlist01.txt as UCF-101 has them; twins.json
    (pairs for forced choice, and families), truth.json and ceilings.json. Videos are named in
    JSON as the store names them, without their ending. The lists come last: where they are, the
    videos are whole. `clips` is `question.clips()`, where the caller wants to watch it go by.
    """
    out = Path(out)
    lists = out / "lists"
    lists.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    families: dict[str, dict[int, list[str]]] = {"train": {}, "test": {}}
    pairs: dict[str, dict[tuple[int, int], list[str]]] = {"train": {}, "test": {}}
    truth: dict[str, Any] = {}
    for listed in question.clips() if clips is None else clips:
        write_lossless(out / "videos" / listed.name, listed.clip.frames)
        video = listed.name.removesuffix(".avi")
        rows[listed.part].append((listed.name, listed.clip.label))
        families[listed.part].setdefault(listed.group, []).append(video)
        if listed.clip.twin is not None:
            pairs[listed.part].setdefault((listed.group, listed.clip.twin), []).append(video)
        truth[video] = dict(listed.clip.truth)
    ceilings = about(question)
    twins = {
        part: {"pairs": list(pairs[part].values()), "families": list(families[part].values())}
        for part in ("train", "test")
    }
    train, test = sorted(rows["train"]), sorted(rows["test"])
    for name, text in {
        "truth.json": json.dumps(truth, indent=1),
        "twins.json": json.dumps(twins, indent=1),
        "ceilings.json": json.dumps(ceilings, indent=2),
        "classInd.txt": "\n".join(f"{i} {cls}" for i, cls in enumerate(question.classes, 1)),
        "testlist01.txt": "\n".join(video for video, _ in test),
        "trainlist01.txt": "\n".join(f"{video} {label + 1}" for video, label in train),
    }.items():
        (lists / name).write_text(text + "\n", encoding="ascii", newline="\n")
    return ceilings


def about(question: Question) -> dict[str, Any]:
    """What is known of a question: JSON values."""
    return {
        "question": question.name,
        "asks": question.asks,
        "parts": question.parts,
        "classes": list(question.classes),
        "chance": 1 / len(question.classes),
        "mirror_safe": question.mirror_safe,
        "families": ceilings_as_json(question.ceilings()),
        "facts": question.facts(),
        "settings": asdict(question),
    }
