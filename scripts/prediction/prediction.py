"""The way from a video of one's own to what trained runs say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import torch

from flow.extraction import Recipe, Source
from flow.pictures import (
    Block,
    Overlay,
    PictureSource,
    Webcam,
    frames_of,
    recipe_of,
    windows,
)
from flow.video import probe
from fusion.report import Fusing, Row, StreamScores, overall, timeline
from scripts.prediction.drawing import OverlayVideo
from scripts.prediction.trained import Trained
from storage.errors import UserError
from streams.scoring import Views, WindowScores, fields_needed, reach, score_window
from streams.sequences import SequenceOnVideo, SequenceScores


@dataclass(frozen=True)
class Pass:
    """Runs that can be served by reading the video once."""

    recipe: Recipe
    runs: dict[str, Trained]
    flow: bool

    @property
    def reach(self) -> int:
        config = self.recipe.config()
        return max(reach(trained.scorer.inputs, config) for trained in self.runs.values())


def plan_passes(runs: dict[str, Trained], engine: str, threads: int) -> list[Pass]:
    """As few passes as the runs allow; the one with flow comes last."""
    waiting = dict(sorted(runs.items(), key=lambda item: not item[1].needs_flow))
    passes = []
    while waiting:
        first = next(iter(waiting.values()))
        together = {name: t for name, t in waiting.items() if t.served_by(first.config)}
        together.setdefault(next(iter(waiting)), first)
        waiting = {name: t for name, t in waiting.items() if name not in together}
        fields = {
            f for t in together.values() for f in fields_needed(t.scorer.inputs, first.config.step)
        }
        if fields:
            try:
                recipe = recipe_of(first.config, engine, threads)
            except UserError as error:
                raise UserError(f"{first.run.path}: {error}") from None
            recipe = replace(recipe, fields=tuple(f for f in recipe.fields if f in fields))
        else:
            recipe = frames_of(first.config)
        for trained in together.values():  # frames as the run that looks at them knows them
            if not trained.needs_flow and trained.config.frame_codec != "none":
                recipe = replace(recipe, frame_codec=trained.config.frame_codec)
        passes.append(Pass(recipe, together, bool(fields)))
    return passes[::-1]


@dataclass(frozen=True)
class Looking:
    """How a video is looked at."""

    views: Views
    window: float
    stride: float
    """Seconds."""
    seconds: float
    """Of a camera."""
    overlay: Path | None = None


@dataclass(frozen=True)
class Prediction:
    """What the runs say of one video."""

    video: str
    duration: float
    frames: int
    fps: float
    whole: Row
    streams: dict[str, Row]
    """Each stream by itself."""
    timeline: list[Row]
    engine: str


def predict(
    video: str,
    passes: Sequence[Pass],
    fusing: Fusing,
    looking: Looking,
    device: torch.device,
    progress: Callable[[int], object] = lambda frames: None,
) -> Prediction:
    """Score one video file, or the camera of that number."""
    camera = int(video) if video.isdecimal() and not Path(video).exists() else None
    if camera is not None and len(passes) > 1:
        raise UserError(
            "a camera can be read once, and these runs were trained on stores of different sizes "
            "or rates; give runs of one store"
        )
    scores = {name: StreamScores() for name in fusing.streams}
    frames, fps, shown = 0, 0.0, passes[-1]
    for one in passes:
        source: PictureSource
        if camera is None:
            info = probe(video)
            source = Source(video, one.recipe)
            source.fps = one.recipe.fps or info.fps
            expected = info.frames / info.fps if info.frames else 0.0
        else:
            source = Webcam(camera, one.recipe, looking.seconds)
            expected = looking.seconds
        fps = source.fps
        blocks = blocks_of(source, one, video, looking, expected)
        drawing: OverlayVideo | None = None
        with (
            Overlay(
                looking.overlay,
                fusing.classes,
                fps=fps,
                duration=expected,
                title=Path(video).name if camera is None else f"camera {camera}",
                streams=fusing.streams,
                flow=one.flow,
            )
            if looking.overlay is not None and one is shown
            else nullcontext()
        ) as overlay:
            if overlay is not None:
                file = Path(video) if camera is None else None
                drawing = OverlayVideo(overlay, fusing, one.recipe, file, looking.window)
            for block, views in blocks:
                looked = score_block(block, views, one, scores, fps, device)
                if drawing is not None:
                    drawing.look(looked, block, fps)
                    drawing.draw(block, scores, fps)
                frames = block.stop
                progress(block.stop - block.start)
    silent = [name for name, score in scores.items() if not score.logits]
    if silent:
        raise UserError(f"{video} is too short for the {', '.join(silent)} run: {frames} frames")
    duration = frames / fps
    return Prediction(
        video,
        duration,
        frames,
        fps,
        overall(scores, fusing, duration),
        {
            name: overall({name: score}, replace(fusing, streams=(name,), weights=None), duration)
            for name, score in scores.items()
        },
        timeline(scores, fusing, duration, looking.window, looking.stride),
        str(shown.recipe.flow.name) if shown.flow else "none",
    )


def blocks_of(
    source: PictureSource, one: Pass, video: str, looking: Looking, expected: float
) -> Iterator[tuple[Block, Views]]:
    """The video in one block where it is short, so that it is scored as `twostream score` does;
    else in blocks of one stride, each with its share of the snapshots."""
    fps = source.fps
    short = 0 < expected <= looking.window * 1.2
    seconds = looking.window * 1.5 if short else looking.stride
    length = max(2, ceil(seconds * fps))
    share = 1.0 if short else min(1.0, looking.stride / looking.window)
    views = replace(looking.views, snapshots=max(1, ceil(looking.views.snapshots * share)))
    for block in windows(source, one.recipe, video, length=length, reach=one.reach, flow=one.flow):
        filled = (block.stop - block.start) / length
        if short or filled >= 1:
            yield block, views
        else:
            yield block, replace(views, snapshots=max(1, round(views.snapshots * filled)))


def score_block(
    block: Block,
    views: Views,
    one: Pass,
    scores: dict[str, StreamScores],
    fps: float,
    device: torch.device,
) -> dict[str, SequenceScores]:
    """Add what the runs say of a block to their scores; gives what those of sequences looked at."""
    looked: dict[str, SequenceScores] = {}
    for name, trained in one.runs.items():
        found = window_scores(trained, block, views, device)
        if found is None:
            continue
        if isinstance(found, SequenceScores):
            looked[name] = found
        scores[name].times += [frame / fps for frame in found.frames]
        scores[name].logits += list(found.each)
        if block.start == 0 and block.last:
            scores[name].whole = found.whole
    return looked


def window_scores(
    trained: Trained, block: Block, views: Views, device: torch.device
) -> WindowScores | None:
    within = range(block.start, block.stop)
    if isinstance(trained.scorer, SequenceOnVideo):  # its features say at which moments it looks
        return trained.scorer.score_window(block.window, within)
    return score_window(trained.scorer, block.window, within, views, device)
