"""Class scores of many videos: snapshots x crops, all views of some videos in one pass.

Whatever was trained is scored here; what differs between a stream and a fusion is a `Scorer`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from storage.catalog import Clip
from storage.errors import UserError
from storage.scores import ScoreTable
from storage.store import VideoMeta
from streams.inputs import AnyInput, Input, RGBDifference
from streams.samples import (
    CROPS,
    MIRRORED,
    Batch,
    ClipDataset,
    Crop,
    Rows,
    Sampling,
    Slices,
    Source,
    collate,
    decoded,
    make_loader,
    plainly,
    quantiser_table,
    test_crops,
)
from streams.scoring.costs import Costs
from streams.scoring.sparsity import fuse_by_sparsity
from streams.training import LoopOptions, Precision

Average = Literal["logits", "probabilities", "sparsity"]
"""How crops become one answer: the mean of logits or of softmax; or FstCN's rule over snapshots and
crops (`sparsity.fuse_by_sparsity`), whose numbers do not sum to 1."""
KIND_OF = {"logits": "logits", "probabilities": "probabilities", "sparsity": "scores"}
"""Average -> what a score table calls its numbers."""
PICTURES = 256
"""Frames that go through the network at once, about."""
LONGEST = 1_000
"""Steps in time of a whole video that are looked at at once, at most."""


@dataclass(frozen=True)
class Views:
    """How a video is looked at."""

    snapshots: int = 25
    """Moments, evenly spread; 0: all of a video as one clip."""
    crops: int = 10
    """1 centre, 3 along the long side, 5 corners and centre; 2, 6, 10 with mirror images."""

    @classmethod
    def parse(cls, text: str, mirrored: bool) -> Views:
        """`25x10` or `whole x 3`; `auto` is 25x10, or 25x5 where training did not mirror."""
        if text == "auto":
            return cls(25, 10 if mirrored else 5)
        match = re.fullmatch(r"(\d+|whole)x(\d+)", text)
        if match is None or match[1] == "0" or int(match[2]) not in CROPS:
            raise UserError(
                f"--views {text!r} is not SNAPSHOTSxCROPS with {', '.join(map(str, CROPS))} crops, "
                "as in 25x10, or wholexCROPS"
            )
        views = cls(0 if match[1] == "whole" else int(match[1]), int(match[2]))
        if views.crops in MIRRORED and not mirrored:
            raise UserError(
                f"--views {text} has mirror images, but the run was trained without (--no-flip): "
                f"use {match[1]}x{views.crops // 2}"
            )
        return views

    def __str__(self) -> str:
        return f"{self.snapshots or 'whole'}x{self.crops}"

    def pictures(self, inputs: Mapping[str, Input]) -> int:
        """Frames of one crop of a video that a network is given, about."""
        return max(1, self.snapshots) * max(frames_of(input_) for input_ in inputs.values())


def frames_of(input_: Input) -> int:
    """What a snapshot costs, in pictures: a stack of flow or differences is one, a clip of frames
    so many."""
    return input_.steps if input_.kind == "rgb" else 1


def whole_inputs(inputs: Mapping[str, AnyInput], video: VideoMeta) -> dict[str, AnyInput]:
    """The inputs, as long as the video."""
    longer = {}
    for name, input_ in inputs.items():
        there = video.pairs if input_.kind == "flow" else video.frames
        if input_.kind == "difference":
            there -= 1
        stride = 1 if isinstance(input_, RGBDifference) else input_.stride
        steps = min(LONGEST, max(input_.steps, 1 + (there - 1) // stride))
        longer[name] = replace(input_, length=steps)
    return longer


class Scorer(Protocol):
    """A trained network, and what it looks at."""

    inputs: dict[str, AnyInput]
    sampling: Sampling
    crop: Crop
    net: nn.Module
    provenance: dict[str, Any]
    """What a score table should say of how the network came about."""

    def score(self, views: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Input -> float (V, T, C, S, S), V views of T snapshots -> logits (V, classes) and pooled
        features (V, D)."""


def score_clips(
    scorer: Scorer,
    source: Source,
    clips: list[Clip],
    views: Views,
    device: torch.device,
    options: LoopOptions,
    *,
    average: Average = "logits",
    precision_name: str = "off",
    watch: Callable[[int], object] = lambda done: None,
    costs: Costs | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The views' answers as one, by `average`: float32 (N, classes); and mean features (N, D)."""
    costs = costs or Costs()
    seen = ClipDataset(
        source.store,
        clips,
        scorer.inputs,
        sampling=scorer.sampling,
        crop=scorer.crop,
        snapshots=max(1, views.snapshots),
        whole=True,
    )
    table = quantiser_table(source.config).to(device)
    precision = Precision.choose(precision_name, device)
    rows = {clip.video: row for row, clip in enumerate(clips)}
    scores: Any = [None] * len(clips)
    features: Any = [None] * len(clips)
    with torch.inference_mode():
        for batch, inputs in batches_of(seen, scorer.inputs, views, options, device):
            batch = batch.to(device)
            for run in range(len(next(iter(batch.runs.values())))):
                rows_of = next(iter(batch.runs.values()))[run]
                first = rows_of.first
                with costs.of(rows_of.stop - first, scorer.net):
                    result = score_run(scorer, inputs, batch, run, views, table, precision, average)
                for i, (score, feature) in enumerate(zip(*result, strict=True)):
                    row = rows[batch.videos[first + i]]
                    scores[row], features[row] = score, feature
            watch(len(batch))
    return np.stack(scores), np.stack(features)


def batches_of(
    data: ClipDataset,
    asked: Mapping[str, AnyInput],
    views: Views,
    options: LoopOptions,
    device: torch.device,
) -> Iterator[tuple[Batch, Mapping[str, Input]]]:
    """Batches of videos, and the inputs by which they were read."""
    if views.snapshots:
        at_once = max(1, PICTURES // (views.pictures(data.inputs) * views.crops))
        workers = options.loading_processes()
        loader = make_loader(data, Slices(len(data), at_once), workers, device.type == "cuda")
        yield from ((batch, data.inputs) for batch in plainly(loader))
        return
    for clip in data.clips:  # each of its own length
        inputs = whole_inputs(asked, data.store.video(clip.video))
        alone = ClipDataset(
            data.path,
            [clip],
            inputs,
            sampling=Sampling(),
            crop=data.crop,
            snapshots=1,
            whole=True,
        )
        yield collate([alone[0]]), inputs


def score_run(
    scorer: Scorer,
    inputs: Mapping[str, Input],
    batch: Batch,
    number: int,
    views: Views,
    table: Tensor,
    precision: Precision,
    average: Average,
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one run of equally large pictures: (n, classes) and (n, D), float32."""
    seen = {}
    apart = average == "sparsity"
    rows = (0, 0)
    for name, input_ in inputs.items():
        run: Rows = batch.runs[name][number]
        pictures = decoded(batch.planes[name], run, input_, table)
        n, t = pictures.shape[:2]
        flat = test_crops(
            pictures.flatten(0, 1), input_, scorer.crop.test_share, scorer.crop.size, views.crops
        )
        # (n t, crops, ...) -> (n crops, t, ...): each crop is a little video of its own.
        crops = flat.unflatten(0, (n, t)).transpose(1, 2)
        seen[name] = crops.flatten(0, 2)[:, None] if apart else crops.flatten(0, 1)
        rows = (views.crops, t if apart else 1)
    parts = []
    chunk = max(1, PICTURES // views.pictures(inputs)) * rows[1]
    for first in range(0, n * rows[0] * rows[1], chunk):
        with precision.context():
            parts.append(scorer.score({k: v[first : first + chunk] for k, v in seen.items()}))
    logits = torch.cat([part[0].float() for part in parts]).unflatten(0, (n, *rows))
    features = torch.cat([part[1].float() for part in parts]).unflatten(0, (n, -1))
    return averaged(logits, average).cpu().numpy(), features.mean(1).cpu().numpy()


def averaged(logits: Tensor, average: Average) -> Tensor:
    """(n, crops, clips, classes) -> (n, classes); but for `sparsity` clips are one already."""
    if average == "sparsity":
        return fuse_by_sparsity(logits.softmax(-1).transpose(1, 2))
    return (logits.softmax(-1) if average == "probabilities" else logits).mean((1, 2))


def score_table(
    scorer: Scorer,
    source: Source,
    part: str,
    views: Views,
    device: torch.device,
    options: LoopOptions,
    *,
    stream: str,
    provenance: dict[str, Any],
    average: Average = "logits",
    precision: str = "off",
    watch: Callable[[int], object] = lambda done: None,
) -> ScoreTable:
    """Scores of one part as what fusion and report read."""
    clips, costs = source.parts[part], Costs()
    scores, features = score_clips(
        scorer,
        source,
        clips,
        views,
        device,
        options,
        average=average,
        precision_name=precision,
        watch=watch,
        costs=costs,
    )
    if not np.isfinite(scores).all():
        wrong = clips[int(np.argwhere(~np.isfinite(scores))[0, 0])].video
        raise UserError(f"the scores of {wrong} are not finite; is the checkpoint broken?")
    return ScoreTable(
        videos=tuple(clip.video for clip in clips),
        labels=np.array([clip.label for clip in clips], np.int64),
        classes=source.classes,
        scores=scores.astype(np.float32),
        kind=KIND_OF[average],
        stream=stream,
        split=source.split,
        part=part,
        groups=tuple(clip.group for clip in clips),
        features=features.astype(np.float32),
        provenance={
            "views": str(views),
            "precision": "float32" if precision == "off" else precision,
            **costs.summary(scorer.net, device),
            **scorer.provenance,
            **provenance,
        },
    )
