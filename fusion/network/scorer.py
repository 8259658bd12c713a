"""Scoring a run of conv-level fusion."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fusion.network.net import fused_logits
from fusion.network.recipe import fusion_recipe_from
from fusion.network.task import NAMES, fusion_net, shared_crop
from streams.scoring import Run, facts_of
from streams.training import recipe_from, stream_net


class FusionScorer:
    """The network of a fusion run; it needs neither tower's run any more.

    A view of more snapshots than the network was trained on is several clips of that many, one
    behind the other (`streams.samples.sampling.testing_dense`), whose scores are averaged.
    """

    def __init__(self, run: Run, device: torch.device) -> None:
        recipe = fusion_recipe_from(run.settings["recipe"])
        towers = [recipe_from(run.settings["towers"][name]["recipe"]) for name in NAMES]
        self.inputs = dict(zip(NAMES, (tower.input for tower in towers), strict=True))
        options = recipe.fusion
        spatial, temporal = (stream_net(tower, len(run.classes)) for tower in towers)
        self.net = fusion_net(recipe, spatial, temporal)
        self.provenance: dict[str, Any] = {
            "fusion": {
                "method": f"{options.join} after {', '.join(self.net.stages)}",
                "streams": list(NAMES),
                "level": "network",
                "pool": options.pool,
                "snapshots": options.snapshots,
                "two_towers": options.two_towers,
                "hidden": options.hidden,
            }
        }
        self.sampling = options.sampling
        self.crop = shared_crop(*towers)
        self.provenance |= facts_of(run.load(self.net))
        self.net.to(device).eval()

    def score(self, views: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        frames, flow = (views[name] for name in NAMES)
        snapshots = self.sampling.segments
        clips = frames.shape[1] // snapshots if frames.shape[1] % snapshots == 0 else 1
        if clips > 1:
            frames, flow = (
                v.unflatten(1, (clips, snapshots)).flatten(0, 1) for v in (frames, flow)
            )
        features = self.net.features((frames, flow))
        logits = fused_logits(self.net.classify(features))
        each = (-1, clips)
        return logits.unflatten(0, each).mean(1), features[0].unflatten(0, each).mean(1)


def open_scorer(run: Run, device: torch.device) -> FusionScorer:
    return FusionScorer(run, device)
