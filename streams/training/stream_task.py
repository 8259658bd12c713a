"""Training one stream: its network, samples and loss, as the training loop asks for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from streams.networks import StreamNet, load_initial
from streams.samples import Batch, ClipDataset, Source, prepare, quantiser_table
from streams.training.recipes import Recipe
from streams.training.task import decay_groups

VALIDATION_SNAPSHOTS = 3


class StreamTask:
    """The spatial, the temporal or the difference stream."""

    def __init__(self, kind: str, recipe: Recipe, source: Source, seed: int) -> None:
        self.kind = kind
        self.recipe, self.source, self.seed = recipe, source, seed
        self.optim = recipe.optim
        self.classes = source.classes
        self._table = quantiser_table(source.config)
        self._input: Tensor | None = None
        self.started = ""
        """How the weights were first filled, for the log."""

    def settings(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "seed": self.seed,
            "recipe": self.recipe.settings(),
            "data": self.source.settings(),
        }

    def build_model(self, initial: bool) -> nn.Module:
        torch.manual_seed(self.seed)
        net = stream_net(self.recipe, len(self.classes))
        if initial:
            self.started = load_initial(net, self.recipe.network.depth, self.recipe.network.weights)
        return net

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        return decay_groups(model, "head.", self.optim.head_lr)

    def data(self, part: str) -> ClipDataset:
        return ClipDataset(
            self.source.store,
            self.source.parts[part],
            {self.kind: self.recipe.input},
            sampling=self.recipe.sampling,
            crop=self.recipe.crop,
            seed=self.seed,
            snapshots=max(VALIDATION_SNAPSHOTS, self.recipe.sampling.segments),
        )

    def inputs(self, batch: Batch) -> Tensor:
        planes = batch.planes[self.kind]
        self._table = self._table.to(planes.device)
        recipe = self.recipe
        made = prepare(batch, self.kind, recipe.input, self._table, recipe.crop.size, self._input)
        # Nothing needs a step's input once its gradients are there.
        self._input = made if made.device.type == "cpu" else None
        return made

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return nnf.cross_entropy(outputs.float(), labels, label_smoothing=self.optim.smoothing)

    def logits(self, outputs: Tensor) -> Tensor:
        return outputs.float()


def stream_net(recipe: Recipe, classes: int) -> StreamNet:
    """The recipe's network, its weights random."""
    network = recipe.network
    return StreamNet(
        network.depth,
        recipe.input.channels,
        classes,
        dropout=network.dropout,
        consensus=network.consensus,
        segments=recipe.sampling.segments,
        batch_norm=network.batch_norm,
    )
