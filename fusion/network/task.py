"""Training the fusion of two towers, as the streams' training loop asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from fusion.network.net import ConvFusionNet, fused_logits
from fusion.network.recipe import FusionRecipe
from fusion.network.start import Inputs, align, fit_head, set_scales
from fusion.network.towers import Tower, check_data, check_pair
from streams.networks import StreamNet
from streams.samples import Batch, ClipDataset, Crop, Source, collate, prepare, quantiser_table
from streams.training import Recipe, Step, decay_groups

log = logging.getLogger(__name__)

SCALE_SAMPLES = 16
"""Training videos over which the towers' activations are compared."""

NAMES = ("spatial", "temporal")


class FusionTask:
    """Two towers, joined; frames and flow of a sample share moments, crop and mirroring."""

    kind = "fusion"

    def __init__(
        self, spatial: Tower, temporal: Tower, recipe: FusionRecipe, source: Source, seed: int
    ) -> None:
        check_pair(spatial, temporal)
        check_data(spatial, source.settings(), f"--store {source.store}")
        self.pair = {"spatial": spatial, "temporal": temporal}
        self.recipe, self.source, self.seed = recipe, source, seed
        self.optim = recipe.optim
        self.classes = source.classes
        self.tower_inputs = {name: tower.recipe.input for name, tower in self.pair.items()}
        self._table = quantiser_table(source.config)

    @property
    def crop(self) -> Crop:
        return shared_crop(*(self.pair[name].recipe for name in NAMES))

    def settings(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "seed": self.seed,
            "recipe": self.recipe.settings(),
            "towers": {name: tower.settings() for name, tower in self.pair.items()},
            "data": self.source.settings(),
        }

    answers = True
    measures: tuple[str, ...] = ()

    def build_model(self, initial: bool) -> nn.Module:
        torch.manual_seed(self.seed)
        spatial, temporal = (self.pair[name].net(trained=initial) for name in NAMES)
        net = fusion_net(self.recipe, spatial, temporal)
        if initial:
            scales = set_scales(net, [inputs for inputs, _ in self.some(SCALE_SAMPLES)])
            text = ", ".join(f"{stage} {scale:.2f}" for stage, scale in scales.items())
            log.info("temporal maps are scaled by: %s", text)
            options = self.recipe.fusion
            aligned = options.align and align(net, spatial.head, temporal.head)
            if options.probe and not aligned:
                right = fit_head(net, self.some(options.probe))
                log.info("the classifier is fitted to training videos, %.1f %% right", 100 * right)
        return net

    def some(self, most: int) -> Iterator[tuple[Inputs, Tensor]]:
        """Some training videos, spread over the list, as the network gets them; and labels."""
        data = self.data("train")
        count = min(most, len(data))
        chosen = [i * len(data) // count for i in range(count)]
        for first in range(0, count, 8):
            batch = collate([data[i] for i in chosen[first : first + 8]])
            yield self.inputs(batch), batch.labels

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        return decay_groups(model, "towers.", self.recipe.fusion.tower_lr)

    def data(self, part: str) -> ClipDataset:
        return ClipDataset(
            self.source.store,
            self.source.parts[part],
            self.tower_inputs,
            sampling=self.recipe.fusion.sampling,
            crop=self.crop,
            seed=self.seed,
            snapshots=self.recipe.fusion.snapshots,
        )

    @torch.no_grad()
    def inputs(self, batch: Batch) -> Inputs:
        """A batch on its device -> frames and flow, float32 (B, T, C, H, W) each."""
        self._table = self._table.to(batch.labels.device)
        size = self.crop.size
        frames, flow = (
            prepare(batch, name, self.tower_inputs[name], self._table, size) for name in NAMES
        )
        return frames, flow

    def step(self, model: Callable[..., Any], batch: Batch, state: Any = None) -> Step:
        outputs: tuple[Tensor, Tensor | None] = model(self.inputs(batch))
        fused, own = outputs
        smoothing = self.optim.smoothing
        loss = nnf.cross_entropy(fused.float(), batch.labels, label_smoothing=smoothing)
        if own is not None:
            other = nnf.cross_entropy(own.float(), batch.labels, label_smoothing=smoothing)
            loss = loss + self.recipe.fusion.two_towers * other
        return Step(loss, fused_logits(outputs))


def shared_crop(spatial: Recipe, temporal: Recipe) -> Crop:
    """The spatial tower's crops; mirrored only if both towers know mirrored videos."""
    a, b = spatial.crop, temporal.crop
    return replace(a, flip=a.flip and b.flip)


def fusion_net(recipe: FusionRecipe, spatial: StreamNet, temporal: StreamNet) -> ConvFusionNet:
    """The recipe's network over two towers."""
    options = recipe.fusion
    return ConvFusionNet(
        spatial,
        temporal,
        stages=options.stages,
        join=options.join,
        pool=options.pool,
        two_towers=options.two_towers > 0,
        dropout=options.dropout,
        sketch=options.sketch,
        tune=options.tune,
        hidden=options.hidden,
        root=options.root,
    )
