"""How long a video takes: the real work on a few of its pairs, decoding and coding included."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from flow.extraction.extract import Picture, Source, chunk_of
from flow.extraction.maker import FlowMaker
from flow.extraction.plan import Task
from flow.extraction.recipe import Recipe
from flow.video import VideoError
from storage.codecs import flow_codec, frame_codec

MOST_SECONDS = 1.5
"""For the pairs of one video; the first few are always finished."""


@dataclass
class Stage:
    """What one of the three threads of `extract_video` does, timed alone."""

    clock: float = 0.0
    processor: float = 0.0
    done: int = 0
    """Frames or pairs."""

    @contextmanager
    def timed(self) -> Iterator[None]:
        clock, processor = time.perf_counter(), time.process_time()
        yield
        self.clock += time.perf_counter() - clock
        self.processor += time.process_time() - processor

    def each(self) -> tuple[float, float]:
        """Seconds by the clock and of the processor, a frame or pair."""
        return self.clock / max(self.done, 1), self.processor / max(self.done, 1)


def seconds_per_frame(
    tasks: Sequence[Task], recipe: Recipe, pairs: int, cores: float
) -> list[tuple[int, float]]:
    """For each video that can be read: its frames, and a worker's seconds for one of them.

    `pairs` from the middle of each are computed and coded; nothing is stored. `cores` are those
    that a worker has for itself. Its threads run beside each other, so a frame takes as long as
    the slowest of them, and no less than the processor's time of all three over the cores.
    """
    import cv2

    cv2.setNumThreads(1)
    maker = FlowMaker(recipe)
    found: list[tuple[int, float]] = []
    for task in tasks:
        stages = Stage(), Stage(), Stage()
        try:
            kept = time_video(task, maker, pairs, stages, warm=not found)
        except VideoError:
            continue
        if stages[1].done:
            clocks, processors = zip(*(stage.each() for stage in stages), strict=True)
            slowest = max(*clocks, sum(processors) / cores)
            found.append((max(task.frames, 1), slowest * kept))
    return found


def time_video(
    task: Task, maker: FlowMaker, pairs: int, stages: tuple[Stage, Stage, Stage], warm: bool
) -> float:
    """Read up to the middle, then compute and code; gives the share of frames that are kept (not 1
    where the rate changes). `warm`: let the engine compile before."""
    reading, computing, coding = stages
    recipe = maker.recipe
    source = Source(task.path, recipe, tolerant=True)
    step, most = recipe.step, pairs + recipe.step
    pictures: list[Picture] = []
    with reading.timed():
        for picture in source.pictures():
            pictures = [*pictures[1 - most :], picture]
            reading.done += 1
            if len(pictures) == most and source.decoded >= task.frames // 2:
                break
    grey = [picture.grey for picture in pictures]
    if len(grey) <= step:
        return 1.0
    if warm:
        chunk_of(grey[: step + 1], [], maker)
    flow_code = flow_codec(recipe.codec, recipe.quantizer)
    frame_code = frame_codec(recipe.frame_codec)
    group = pairs if maker.makes_codes else max(2 * recipe.threads, 4)
    began = time.perf_counter()
    for first in range(0, len(grey) - step, group):
        with computing.timed():
            flows = chunk_of(grey[first : first + group + step], [], maker).flows
        count = len(flows[recipe.fields[0]])
        computing.done += count
        with coding.timed():
            for pair in np.concatenate(list(flows.values())):
                codes = pair if pair.dtype == np.uint8 else recipe.quantizer.quantize(pair)
                flow_code.encode(codes)
            for picture in pictures[first : first + count]:
                if frame_code is not None and picture.rgb is not None:
                    frame_code.encode(picture.rgb)
        coding.done += count
        if time.perf_counter() - began > MOST_SECONDS:
            break
    return reading.done / max(source.decoded, 1)
