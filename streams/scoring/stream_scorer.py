"""Scoring a run of one stream."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from storage.errors import UserError
from streams.scoring.runs import Run, facts_of, load_stream
from streams.training import WITHOUT_LABELS


class StreamScorer:
    """The network of a spatial, temporal or difference run."""

    def __init__(self, run: Run, device: torch.device) -> None:
        if run.kind in WITHOUT_LABELS:
            raise UserError(
                f"{run.path} is a {run.kind} run, which knows no classes: start a stream from it, "
                f"`twostream train spatial --weights {run.path}`"
            )
        recipe = run.recipe
        self.kind = run.kind
        self.inputs = {run.kind: recipe.input}
        self.sampling, self.crop = recipe.sampling, recipe.crop
        self.net, weights = load_stream(run, device)
        self.provenance: dict[str, Any] = facts_of(weights)

    def score(self, views: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        features = self.net.features(views[self.kind])
        return self.net.classify(features), features.mean(1)


def open_scorer(run: Run, device: torch.device) -> StreamScorer:
    return StreamScorer(run, device)
