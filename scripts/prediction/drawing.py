"""A prediction as a video: frames at the source's own size, and what was known when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flow.extraction import Recipe
from flow.pictures import Block, Overlay
from flow.video import VideoReader, resample
from fusion.explanation import heat, place_heat
from fusion.report import Fusing, StreamScores, running
from streams.samples import centre_box
from streams.sequences import SequenceScores

TICK = 0.2
"""Seconds between two looks of the overlay at the running prediction."""


class OverlayVideo:
    """An overlay, the frames that it shows, and what its attending runs looked at last."""

    def __init__(
        self, overlay: Overlay, fusing: Fusing, recipe: Recipe, file: Path | None, window: float
    ) -> None:
        """`file` None (a camera, which can be read once) shows frames as the networks got them."""
        self.overlay, self.fusing, self.window = overlay, fusing, window
        self.originals: Iterator[NDArray[np.uint8]] = (
            iter(()) if file is None else frames_of_file(file, recipe)
        )
        self.places: dict[str, SequenceScores] = {}

    def look(self, found: Mapping[str, SequenceScores], block: Block, fps: float) -> None:
        """Take what attending runs looked at in a block: strips over time, and places."""
        for name, scores in found.items():
            if scores.weights is None:
                continue
            if scores.over_places:
                self.places[name] = scores
                continue
            strip = self.overlay.strip_of(name)
            if strip is not None:
                edges = np.array([*scores.moments, max(block.stop, scores.moments[-1] + 1)]) / fps
                colours = heat(scores.weights / max(float(scores.weights.max()), 1e-12))
                strip.add(edges.tolist(), colours, self.overlay.duration)

    def draw(self, block: Block, scores: Mapping[str, StreamScores], fps: float) -> None:
        shown, history = block.window, self.overlay.history
        field = next(iter(shown.flows), None)
        table = shown.meta.quantizer.table
        for frame in range(block.start, block.stop):
            time = frame / fps
            if time - history.last >= TICK - 1e-6:
                row = running(scores, self.fusing, time, self.window)
                if row is not None:
                    history.add(time, row.probabilities, row.streams)
            flow = None
            if field is not None:
                pair = min(frame, shown.about.pairs - 1) - shown.first
                flow = table[shown.flows[field][pair]]
            picture = next(self.originals, None)
            if picture is None:
                picture = shown.rgb[frame - shown.first]
            self.overlay.add(self.heated(picture, frame), flow, time)

    def heated(self, picture: NDArray[np.uint8], frame: int) -> NDArray[np.uint8]:
        """The picture under the heat of the last run that attends to places, in its crop."""
        for scores in self.places.values():
            step = max(int(np.searchsorted(scores.moments, frame, side="right")) - 1, 0)
            assert scores.weights is not None
            tall, wide = picture.shape[:2]
            top, left, height, width = centre_box(tall, wide, scores.share)
            inside = (slice(top, top + height), slice(left, left + width))
            picture = picture.copy()
            picture[inside] = place_heat(picture[inside], scores.weights[step])
        return picture


def frames_of_file(file: Path, recipe: Recipe) -> Iterator[NDArray[np.uint8]]:
    """The frames of a video at its own size and at the rate of the recipe, one at a time."""
    with VideoReader(file) as reader:
        for frame in resample(reader, recipe.fps):
            yield frame.rgb
