"""Class scores of many videos: snapshots x crops, all views of some videos in one pass.

Whatever was trained is scored here; what differs between a stream and a fusion is a `Scorer`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from storage.catalog import Clip
from storage.errors import UserError
from storage.scores import ScoreTable
from streams.inputs import Input
from streams.samples import (
    CROPS,
    Batch,
    ClipDataset,
    Crop,
    Rows,
    Sampling,
    Slices,
    Source,
    decoded,
    make_loader,
    plainly,
    quantiser_table,
    test_crops,
)
from streams.scoring.costs import Costs
from streams.training import LoopOptions, Precision

PICTURES = 256
"""Views that go through the network at once, about."""


@dataclass(frozen=True)
class Views:
    """How a video is looked at."""

    snapshots: int = 25
    """Moments, evenly spread."""
    crops: int = 10
    """1 centre, 2 with its mirror image, 5 corners and centre, 10 with their mirror images."""

    @classmethod
    def parse(cls, text: str, mirrored: bool) -> Views:
        """`25x10`; `auto` is that, or 25x5 where training did not mirror."""
        if text == "auto":
            return cls(25, 10 if mirrored else 5)
        match = re.fullmatch(r"(\d+)x(\d+)", text)
        if match is None or int(match[1]) < 1 or int(match[2]) not in CROPS:
            raise UserError(
                f"--views {text!r} is not SNAPSHOTSxCROPS with 1, 2, 5 or 10 crops, as in 25x10"
            )
        views = cls(int(match[1]), int(match[2]))
        if views.crops in (2, 10) and not mirrored:
            raise UserError(
                f"--views {text} has mirror images, but the run was trained without (--no-flip): "
                f"use {views.snapshots}x{views.crops // 2}"
            )
        return views

    def __str__(self) -> str:
        return f"{self.snapshots}x{self.crops}"


class Scorer(Protocol):
    """A trained network, and what it looks at."""

    inputs: dict[str, Input]
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
    probabilities: bool = False,
    watch: Callable[[int], object] = lambda done: None,
    costs: Costs | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the views of logits (or softmax): float32 (N, classes); and of features (N, D)."""
    costs = costs or Costs()
    data = ClipDataset(
        source.store,
        clips,
        scorer.inputs,
        sampling=scorer.sampling,
        crop=scorer.crop,
        snapshots=views.snapshots,
        whole=True,
    )
    at_once = max(1, PICTURES // (views.snapshots * views.crops))
    workers = options.loading_processes()
    loader = make_loader(data, Slices(len(data), at_once), workers, device.type == "cuda")
    table = quantiser_table(source.config).to(device)
    precision = Precision.choose("auto", device)
    rows = {clip.video: row for row, clip in enumerate(clips)}
    scores: Any = [None] * len(clips)
    features: Any = [None] * len(clips)
    with torch.inference_mode():
        for batch in plainly(loader):
            batch = batch.to(device)
            for run in range(len(next(iter(batch.runs.values())))):
                rows_of = next(iter(batch.runs.values()))[run]
                first = rows_of.first
                with costs.of(rows_of.stop - first):
                    result = score_run(scorer, batch, run, views, table, precision, probabilities)
                for i, (score, feature) in enumerate(zip(*result, strict=True)):
                    row = rows[batch.videos[first + i]]
                    scores[row], features[row] = score, feature
            watch(len(batch))
    return np.stack(scores), np.stack(features)


def score_run(
    scorer: Scorer,
    batch: Batch,
    number: int,
    views: Views,
    table: Tensor,
    precision: Precision,
    probabilities: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one run of equally large pictures: (n, classes) and (n, D), float32."""
    seen = {}
    for name, input_ in scorer.inputs.items():
        run: Rows = batch.runs[name][number]
        pictures = decoded(batch.planes[name], run, input_, table)
        n, t = pictures.shape[:2]
        flat = test_crops(
            pictures.flatten(0, 1), input_, scorer.crop.test_share, scorer.crop.size, views.crops
        )
        # (n t, crops, ...) -> (n crops, t, ...): each crop is a little video of its own.
        seen[name] = flat.unflatten(0, (n, t)).transpose(1, 2).flatten(0, 1)
    parts = []
    chunk = max(1, PICTURES // views.snapshots)
    for first in range(0, n * views.crops, chunk):
        with precision.context():
            parts.append(scorer.score({k: v[first : first + chunk] for k, v in seen.items()}))
    logits = torch.cat([part[0].float() for part in parts]).unflatten(0, (n, views.crops))
    features = torch.cat([part[1].float() for part in parts]).unflatten(0, (n, views.crops))
    if probabilities:
        logits = logits.softmax(-1)
    return logits.mean(1).cpu().numpy(), features.mean(1).cpu().numpy()


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
    probabilities: bool = False,
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
        probabilities=probabilities,
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
        kind="probabilities" if probabilities else "logits",
        stream=stream,
        split=source.split,
        part=part,
        groups=tuple(clip.group for clip in clips),
        features=features.astype(np.float32),
        provenance={
            "views": str(views),
            **costs.summary(scorer.net, device),
            **scorer.provenance,
            **provenance,
        },
    )
