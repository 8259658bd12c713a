"""Scores of a stretch of video that is in memory, snapshot by snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.store import StoreConfig, VideoMeta, Window
from streams.inputs import FlowStack, Input
from streams.samples import (
    Box,
    Sample,
    Sampling,
    collate,
    decoded,
    quantiser_table,
    shared_moments,
    test_crops,
    testing_dense,
    testing_moments,
)
from streams.scoring.scoring import PICTURES, Scorer, Views, frames_of
from streams.scoring.stream_scorer import StreamScorer
from streams.training import Precision

LONG = 1_000_000


@dataclass(frozen=True)
class WindowScores:
    """What a trained run says of some frames."""

    whole: NDArray[np.float32]
    """(C,) logits of all its snapshots together, as `twostream score` would give them."""
    frames: tuple[int, ...]
    """Where each score stands: at its snapshot; of a fusion of several, at the middle one."""
    each: NDArray[np.float32]
    """(len(frames), C) logits of each."""


@torch.inference_mode()
def score_window(
    scorer: Scorer, window: Window, within: range, views: Views, device: torch.device
) -> WindowScores | None:
    """Score `views.snapshots` evenly spread moments of the frames `within`.

    None where no input can stand in them (the last frames of a video start no stack), unless they
    are the whole of a video that is too short for the input: then its last pair repeats.
    """
    about = window.about
    possible = shared_moments(scorer.inputs, about, window.meta)
    chosen = _snapshots(possible, within, about, scorer.sampling, views.snapshots)
    if not chosen:
        return None
    planes, boxes = {}, {}
    whole = Box(0, 0, about.height, about.width)
    for name, input_ in scorer.inputs.items():
        planes[name] = [
            input_.read(window, about, moment, window.meta)  # type: ignore[arg-type]
            for moment in chosen
        ]
        boxes[name] = whole
    batch = collate([Sample(about.video, 0, planes, boxes, False, whole)]).to(device)
    table = quantiser_table(window.meta).to(device)
    seen: dict[str, list[Tensor]] = {name: [] for name in scorer.inputs}
    for name, input_ in scorer.inputs.items():
        pictures = decoded(batch.planes[name], batch.runs[name][0], input_, table)[0]
        for few in pictures.split(max(1, PICTURES // (views.crops * frames_of(input_)))):
            crop = scorer.crop
            seen[name].append(test_crops(few, input_, crop.test_share, crop.size, views.crops))
    # (T, crops, ...) -> (crops, T, ...): each crop is a little video of its own.
    clips = {name: torch.cat(parts).transpose(0, 1) for name, parts in seen.items()}
    if isinstance(scorer, StreamScorer):
        return _stream_scores(scorer, clips[scorer.kind], chosen, device)
    return _clip_scores(scorer, clips, chosen, device)


def _clip_scores(
    scorer: Scorer, views: dict[str, Tensor], chosen: list[int], device: torch.device
) -> WindowScores:
    """A network that sees K snapshots together says one thing of each K."""
    k = scorer.sampling.segments
    alone = {
        name: seen.unflatten(1, (-1, k)).transpose(0, 1).flatten(0, 1)
        for name, seen in views.items()
    }
    with Precision.choose("off", device).context():
        logits = scorer.score(alone)[0].float()
    each = logits.unflatten(0, (len(chosen) // k, -1)).mean(1)
    middles = tuple(chosen[k // 2 :: k])
    return WindowScores(each.mean(0).cpu().numpy(), middles, each.cpu().numpy())


def _stream_scores(
    scorer: StreamScorer, clips: Tensor, chosen: list[int], device: torch.device
) -> WindowScores:
    """One pass through the backbone serves the whole and each snapshot."""
    features = []
    with Precision.choose("off", device).context():
        for crop in clips:  # (T, C, S, S)
            at_once = max(1, PICTURES // frames_of(scorer.inputs[scorer.kind]))
            parts = [scorer.net.features(few[None])[0] for few in crop.split(at_once)]
            features.append(torch.cat(parts))
        stacked = torch.stack(features)
        whole = scorer.net.classify(stacked).float().mean(0)
        each = scorer.net.classify(stacked.flatten(0, 1)[:, None]).float()
    each = each.unflatten(0, stacked.shape[:2]).mean(0)
    return WindowScores(whole.cpu().numpy(), tuple(chosen), each.cpu().numpy())


def moments_within(possible: range, within: range, about: VideoMeta) -> range:
    """Those of the possible moments that lie in the frames `within`; all of them, where these are
    the whole of a video that is too short for the input."""
    there = range(max(possible.start, within.start), min(possible.stop, within.stop))
    alone = within.start == 0 and within.stop >= about.frames
    return possible if alone and not there else there


def _snapshots(
    possible: range, within: range, about: VideoMeta, sampling: Sampling, count: int
) -> list[int]:
    there = moments_within(possible, within, about)
    if not there:
        return []
    if sampling.snippets == "dense":
        return [there[i] for i in testing_dense(len(there), count, sampling)]
    return [there[i] for i in testing_moments(len(there), count)]


def fields_needed(inputs: Mapping[str, Input], step: int) -> tuple[str, ...]:
    """The stored flow fields that inputs read; empty where they need frames only."""
    names: set[str] = set()
    for input_ in inputs.values():
        if isinstance(input_, FlowStack):
            names |= {name for name, _ in input_.reads(0, step)}
    return tuple(name for name in ("forward", "backward", "warped") if name in names)


def reach(inputs: Mapping[str, Input], config: StoreConfig) -> int:
    """Frames before and after a moment that inputs read, at most."""
    values: dict[str, Any] = {"video": "", "height": 1, "width": 1, "fps": 1.0}
    long = VideoMeta(frames=LONG, pairs=LONG - config.step, **values)
    ranges = [input_.moments(long, config) for input_ in inputs.values()]
    return max(max(r.start, LONG - r.stop) for r in ranges) + 1
