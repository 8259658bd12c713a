"""Which moments of a video a sample is made of: integers in, integers out.

A moment t is the index of a stored frame, from 0. What an input reads around it, and at which
moments it can stand, is the input's business (`streams.inputs`): here moments are numbered 0 to
M - 1 within the range that the input gives.
Every random choice is a function of (seed, position in the sample stream), so that neither the
number of workers nor of processes, nor a stop and a resumption, changes what is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from storage.errors import UserError

Rule = Literal["segments", "dense"]
SNIPPETS, CROPS, FLIPS, ORDER, CLASSES, COLOURS = range(6)
"""What a random stream is for: each purpose draws from one of its own."""


@dataclass(frozen=True)
class Sampling:
    """How the snippets of a training sample are chosen."""

    segments: int = 1
    """Snippets of a video in one sample (K); 1 is one random snippet."""
    snippets: Rule = "segments"
    """segments: one random moment in each of K equal parts of the video, as TSN does. dense: K
    moments in a row, --gap frames apart, from a random start."""
    gap: int = 1
    """Frames between the moments of a dense sample."""
    balanced: bool = False
    """Draw every class equally often, instead of every video."""

    def __post_init__(self) -> None:
        if self.segments < 1 or self.gap < 1:
            raise UserError(
                f"--segments {self.segments} and --gap {self.gap} must both be at least 1"
            )


def random_numbers(seed: int, purpose: int, *key: int) -> np.random.Generator:
    """The random stream that belongs to these integers, on every machine the same."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, purpose, *key])))


def training_moments(moments: int, sampling: Sampling, rng: np.random.Generator) -> list[int]:
    """K moments out of 0 .. moments-1.

    segments: part k is the half-open range [k M // K, (k+1) M // K), one uniform draw from each;
    with fewer moments than parts an empty range gives its first moment (so some repeat). dense:
    start, start + gap, ...; where the video is too short the last moment repeats.
    """
    k = sampling.segments
    if sampling.snippets == "dense":
        start = int(rng.integers(max(1, moments - (k - 1) * sampling.gap)))
        return [min(start + i * sampling.gap, moments - 1) for i in range(k)]
    edges = [i * moments // k for i in range(k + 1)]
    draws = rng.random(k)
    return [
        low + int(draw * (high - low)) if high > low else low
        for low, high, draw in zip(edges, edges[1:], draws, strict=False)
    ]


def testing_moments(moments: int, count: int) -> list[int]:
    """The middles of `count` equal parts: (2k + 1) M // 2 count. Deterministic."""
    return [(2 * k + 1) * moments // (2 * count) for k in range(count)]


def testing_dense(moments: int, count: int, sampling: Sampling) -> list[int]:
    """Whole clips of K moments in a row, as in training, spread evenly over the video: as many as
    have `count` moments, about, and at least one."""
    k, gap = sampling.segments, sampling.gap
    clips = max(1, round(count / k))
    starts = testing_moments(max(1, moments - (k - 1) * gap), clips)
    return [min(start + i * gap, moments - 1) for start in starts for i in range(k)]


@dataclass(frozen=True)
class Draw:
    """One entry of the sample stream."""

    position: int
    """Where it stands in the stream, counted over all epochs: the key of its randomness."""
    clip: int
    """Index of the clip."""


class SampleStream:
    """The endless sequence of training samples: pass after pass over the clips, each shuffled.

    A pure function of the position, so that any step can be the first one.
    """

    def __init__(self, labels: list[int], seed: int, balanced: bool = False) -> None:
        self.seed = seed
        self.count = len(labels)
        self.balanced = balanced
        members: dict[int, list[int]] = {}
        for clip, label in enumerate(labels):
            members.setdefault(label, []).append(clip)
        self.members = [members[label] for label in sorted(members)]
        self._orders: dict[tuple[int, ...], np.ndarray] = {}

    def order(self, count: int, *key: int) -> np.ndarray:
        """The permutation of `count` that belongs to a key; the last few are kept."""
        if key not in self._orders:
            if len(self._orders) > 4 * len(self.members) + 16:
                self._orders.clear()
            purpose = ORDER if len(key) == 1 else CLASSES
            self._orders[key] = random_numbers(self.seed, purpose, *key).permutation(count)
        return self._orders[key]

    def __getitem__(self, position: int) -> Draw:
        if not self.balanced:
            turn, place = divmod(position, self.count)
            return Draw(position, int(self.order(self.count, turn)[place]))
        # Blocks of one sample a class, the classes shuffled within the block; each class walks
        # through its own videos, pass after pass.
        block, place = divmod(position, len(self.members))
        chosen = int(self.order(len(self.members), block)[place])
        clips = self.members[chosen]
        turn, within = divmod(block, len(clips))
        return Draw(position, clips[int(self.order(len(clips), turn, chosen)[within])])


class StepBatches:
    """The draws of each micro-batch from a step on: what a DataLoader takes as batch sampler.

    Step s owns positions [s B, (s + 1) B) of the stream; they are dealt to `accumulate`
    micro-batches, and each of those to `world` processes, in order. What a step trains on depends
    on none of the two.
    """

    def __init__(
        self,
        stream: SampleStream,
        batch: int,
        steps: range,
        *,
        accumulate: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch % (accumulate * world):
            raise UserError(
                f"--batch {batch} does not divide among {world} processes x {accumulate} "
                "micro-batches (--accumulate)"
            )
        self.stream, self.batch, self.steps = stream, batch, steps
        self.accumulate, self.rank, self.world = accumulate, rank, world

    def __len__(self) -> int:
        return len(self.steps) * self.accumulate

    def __iter__(self):  # type: ignore[no-untyped-def]
        size = self.batch // (self.accumulate * self.world)
        for step in self.steps:
            for part in range(self.accumulate):
                first = step * self.batch + (part * self.world + self.rank) * size
                yield [self.stream[first + i] for i in range(size)]
