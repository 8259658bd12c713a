"""The running prediction of a video so far, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MOST = 1024
"""Points of a curve; of more, every second one is dropped."""
CELLS = 2048
"""Colours along the time axis of a strip."""


@dataclass
class History:
    """What was known when, and what is known now."""

    times: list[float] = field(default_factory=list)
    probabilities: list[NDArray[np.float32]] = field(default_factory=list)
    """(C,) each, of the streams together."""
    streams: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Of each stream by itself, now: (C,)."""
    led: NDArray[np.float32] | None = None
    """(C,): the highest that each class ever was."""
    last: float = -np.inf
    """When it was looked at last."""

    def add(
        self,
        time: float,
        probabilities: NDArray[np.float32],
        streams: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        if len(self.times) >= MOST:
            # The last point stays: it is what is known now.
            self.times = self.times[-1::-2][::-1]
            self.probabilities = self.probabilities[-1::-2][::-1]
        self.times.append(time)
        self.probabilities.append(probabilities)
        self.streams = dict(streams or {})
        self.led = probabilities if self.led is None else np.maximum(self.led, probabilities)
        self.last = time


class AttentionStrip:
    """Colours over the time of a video, as far as they are known."""

    def __init__(self) -> None:
        self.span = 0.0
        self.colours = np.zeros((CELLS, 3), np.uint8)
        self.known = np.zeros(CELLS, bool)

    def add(self, edges: Sequence[float], colours: NDArray[np.uint8], duration: float) -> None:
        """Colours (T, 3) between T + 1 edges, in seconds of a video of this duration."""
        self.reach(max(duration, edges[-1]))
        at = np.rint(np.array(edges) / self.span * CELLS).astype(int)
        for first, last, colour in zip(at, at[1:], colours, strict=False):
            self.colours[first : max(last, first + 1)] = colour
            self.known[first : max(last, first + 1)] = True

    def reach(self, span: float) -> None:
        """Make room for a longer time."""
        if span <= self.span:
            return
        if self.span:
            old = np.arange(CELLS) * span / self.span
            inside = old < CELLS
            source = old[inside].astype(int)
            colours, known = np.zeros_like(self.colours), np.zeros_like(self.known)
            colours[inside], known[inside] = self.colours[source], self.known[source]
            self.colours, self.known = colours, known
        self.span = span
