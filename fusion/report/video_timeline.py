"""What happens when: scores at moments of a video, pooled in sliding windows and fused."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fusion.judge import normalise_scores
from fusion.scores import average
from storage.errors import UserError
from storage.scores import ScoreTable


@dataclass
class StreamScores:
    """One stream's logits, each at a time of the video; filled while the video is read."""

    times: list[float] = field(default_factory=list)
    """Seconds."""
    logits: list[NDArray[np.float32]] = field(default_factory=list)
    """(C,) each."""
    whole: NDArray[np.float32] | None = None
    """(C,): the video's own score, where it was short enough to be scored in one piece."""

    def between(self, start: float, stop: float) -> NDArray[np.float32] | None:
        """Mean logits of the moments from `start` to before `stop`; None where there are none."""
        # Moments come in the order of time, so that a look costs the same late in a long video.
        first, last = bisect_left(self.times, start), bisect_left(self.times, stop)
        inside = self.logits[first:last]
        return np.mean(inside, axis=0, dtype=np.float32) if inside else None

    def all(self) -> NDArray[np.float32]:
        """The whole video's logits."""
        if self.whole is not None:
            return self.whole
        return np.mean(self.logits, axis=0, dtype=np.float32)


@dataclass(frozen=True)
class Row:
    """What the streams say together of one stretch of the video."""

    start: float
    stop: float
    """Seconds."""
    probabilities: NDArray[np.float32]
    """(C,)."""
    streams: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Of a stretch of the timeline: what each of several streams says by itself, (C,)."""

    def top(self, count: int) -> list[tuple[int, float]]:
        """The most probable classes: (index, probability), the first of equals first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(int(c), float(self.probabilities[c])) for c in order]


@dataclass(frozen=True)
class Fusing:
    """How streams are brought together; `fusion.average` does it."""

    classes: tuple[str, ...]
    streams: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    """One a stream, in their order."""
    normalise: str = "softmax"

    def row(self, start: float, stop: float, logits: Mapping[str, NDArray[np.float32]]) -> Row:
        """Fuse one score a stream."""
        nothing = np.zeros(1, np.int64)  # the label is not known, and not looked at
        tables = [
            ScoreTable(("video",), nothing, self.classes, logits[name][None], stream=name)
            for name in self.streams
        ]
        fused = average(tables, self.weights, self.normalise)
        # Averages after l2 or zscore are shown as shares, too, though they are no probabilities.
        kind = "logits" if fused.kind == "scores" else fused.kind
        shares = normalise_scores(fused.scores, kind, "softmax")
        return Row(start, stop, shares[0].astype(np.float32))

    def alone(self, logits: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """The probabilities of each of several streams by itself; none of a single one."""
        if len(logits) < 2:
            return {}
        each = {name: replace(self, streams=(name,), weights=None) for name in logits}
        return {name: each[name].row(0, 0, logits).probabilities for name in logits}


def overall(streams: Mapping[str, StreamScores], fusing: Fusing, duration: float) -> Row:
    """The whole video in one row."""
    return fusing.row(0.0, duration, {name: scores.all() for name, scores in streams.items()})


def timeline(
    streams: Mapping[str, StreamScores],
    fusing: Fusing,
    duration: float,
    window: float,
    stride: float,
) -> list[Row]:
    """Rows of `window` seconds, one every `stride`; the last one ends with the video.

    A stretch in which some stream has no moment is left out.
    """
    rows = []
    for start in window_starts(duration, window, stride):
        stop = min(start + window, duration)
        last = stop >= duration
        means = {
            name: scores.between(start, np.inf if last else stop)
            for name, scores in streams.items()
        }
        there = {name: score for name, score in means.items() if score is not None}
        if len(there) == len(means):
            rows.append(replace(fusing.row(start, stop, there), streams=fusing.alone(there)))
    return rows


def window_starts(duration: float, window: float, stride: float) -> Sequence[float]:
    """0, stride, 2 stride, ..., as long as a window brings something that was not yet seen."""
    if not (window > 0 and stride > 0 and stride <= window):
        raise UserError(
            f"--window {window:g} and --stride {stride:g} must be over 0, the stride not longer"
        )
    count = 1 + max(0, int(np.ceil((duration - window) / stride - 1e-9)))
    return [k * stride for k in range(count)]


def running(
    streams: Mapping[str, StreamScores], fusing: Fusing, time: float, window: float
) -> Row | None:
    """What was known at `time` from the last `window` seconds; None before the first moment."""
    means = {
        name: scores.between(max(0.0, time - window), time + 1e-6)
        for name, scores in streams.items()
    }
    there = {name: score for name, score in means.items() if score is not None}
    if len(there) < len(means):
        return None
    row = fusing.row(max(0.0, time - window), time, there)
    return replace(row, streams=fusing.alone(there))
