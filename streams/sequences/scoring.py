"""Scoring a run of a network over sequences: windows of a video, their probabilities averaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from storage.errors import UserError
from storage.scores import ScoreTable
from streams.aggregators import mean_over_views
from streams.samples import Slices, make_loader, plainly
from streams.scoring import Costs, Run, facts_of
from streams.sequences.data import FeatureDataset
from streams.sequences.recipes import sequence_recipe_from
from streams.sequences.source import FeatureSource, check_features
from streams.sequences.task import KIND, SequenceNet, sequence_net
from streams.training import LoopOptions

AT_ONCE = 16
"""Videos that are read at once."""


class SequenceScorer:
    """The network of a run, and which windows it sees."""

    def __init__(self, run: Run, device: torch.device) -> None:
        if run.kind != KIND:
            raise UserError(f"{run.path} is a run of kind {run.kind}, not of a sequence network")
        self.run, self.device = run, device
        self.recipe = sequence_recipe_from(run.settings["recipe"])
        trained = run.settings["data"]["features"]
        widths = [int(config["shape"][0]) for config in trained]
        shape = (sum(widths), *trained[0]["shape"][1:])
        self.net: SequenceNet = sequence_net(self.recipe, shape, widths, len(run.classes))
        self.provenance: dict[str, Any] = facts_of(run.load(self.net))
        self.net.to(device).eval()

    def check(self, source: FeatureSource, *, other_store: bool = False) -> None:
        """Raise UserError where the features are others than those of the training."""
        check_features(self.run.settings["data"]["features"], source, other_store=other_store)


def sequence_table(
    scorer: SequenceScorer,
    source: FeatureSource,
    part: str,
    windows: int,
    options: LoopOptions,
    *,
    stream: str,
    provenance: dict[str, Any],
    probabilities: bool = False,
    watch: Callable[[int], object] = lambda done: None,
) -> ScoreTable:
    """Scores of one part: the mean probability over `windows` of each video."""
    clips, costs, device = source.parts[part], Costs(), scorer.device
    data = FeatureDataset(source, part, scorer.recipe.windows, count=windows)
    loader = make_loader(
        data, Slices(len(data), AT_ONCE), options.loading_processes(), device.type == "cuda"
    )
    scores: list[np.ndarray] = []
    with torch.inference_mode():
        for batch in plainly(loader):
            batch = batch.to(device)
            with costs.of(len(batch), scorer.net):
                logits = scorer.net(batch.features, batch.lengths).float()
                each = [mean_over_views(rows[None])[0] for rows in logits.split(batch.windows)]
                answer = torch.stack(each)
                scores.append((answer.softmax(1) if probabilities else answer).cpu().numpy())
            watch(len(batch))
    return ScoreTable(
        videos=tuple(clip.video for clip in clips),
        labels=np.array([clip.label for clip in clips], np.int64),
        classes=source.classes,
        scores=np.concatenate(scores).astype(np.float32),
        kind="probabilities" if probabilities else "logits",
        stream=stream,
        split=source.split,
        part=part,
        groups=tuple(clip.group for clip in clips),
        provenance={
            "windows": windows,
            "features": [config.network.get("name", "") for config in source.configs],
            **costs.summary(scorer.net, device),
            **scorer.provenance,
            **provenance,
        },
    )
