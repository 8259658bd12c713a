"""Training one stream: its network, samples and loss, as the training loop asks for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from streams.inputs import Input
from streams.networks import Network, StreamNet, build_entry, entry_of, load_initial
from streams.samples import Batch, ClipDataset, Source, prepare, quantiser_table
from streams.training.recipes import Recipe
from streams.training.task import Step, decay_groups

log = logging.getLogger(__name__)

VALIDATION_SNAPSHOTS = 3


class StreamTask:
    """The spatial, the temporal or the difference stream."""

    answers = True
    measures: tuple[str, ...] = ()

    def __init__(self, kind: str, recipe: Recipe, source: Source, seed: int) -> None:
        self.kind = kind
        self.recipe, self.source, self.seed = recipe, source, seed
        self.optim = recipe.optim
        self.classes = source.classes
        self._table = quantiser_table(source.config)
        self._input: Tensor | None = None
        self.each_step = False
        """Whether the network learns at every step of its clips; known once it is built."""

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
        self.each_step = net.network.answers_each_step
        if initial:
            self.fill(net.network)
        return net

    def fill(self, network: Network) -> None:
        """Give a new network the weights that the recipe names."""
        options = self.recipe.network
        done = load_initial(network, options.name, options.weights, options.first_layer)
        log.info("%s: %s", options.name, done)

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        return decay_groups(model, "network.head.", self.optim.head_lr)

    def data(self, part: str) -> ClipDataset:
        return ClipDataset(
            self.source.store,
            self.source.parts[part],
            self.seen(part),
            sampling=self.recipe.sampling,
            crop=self.recipe.crop,
            seed=self.seed,
            snapshots=max(VALIDATION_SNAPSHOTS, self.recipe.sampling.segments),
        )

    def seen(self, part: str) -> dict[str, Input]:
        """What is read of each clip, by its name in a batch."""
        return {self.kind: self.recipe.input}

    @torch.no_grad()
    def inputs(self, batch: Batch) -> Tensor:
        """A batch on its device -> float32 (B, K, C, H, W)."""
        planes = batch.planes[self.kind]
        self._table = self._table.to(planes.device)
        recipe = self.recipe
        ready = prepare(batch, self.kind, recipe.input, self._table, recipe.crop.size, self._input)
        # Nothing needs a step's input once its gradients are there.
        self._input = ready if ready.device.type == "cpu" else None
        return ready

    def step(self, model: Callable[..., Any], batch: Batch, state: Any = None) -> Step:
        weight, smoothing = self.optim.own_loss, self.optim.smoothing
        inputs, labels = self.inputs(batch), batch.labels
        if weight:
            logits, own = model(inputs, own_loss=True)
            loss = nnf.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
            return Step(loss + weight * own, logits.float())
        if self.each_step:
            logits, steps = model(inputs, each_step=True)
            rows, each = steps.float().flatten(0, 1), labels.repeat_interleave(steps.shape[1])
            return Step(nnf.cross_entropy(rows, each, label_smoothing=smoothing), logits.float())
        logits = model(inputs).float()
        return Step(nnf.cross_entropy(logits, labels, label_smoothing=smoothing), logits)


def stream_net(recipe: Recipe, classes: int) -> StreamNet:
    """The recipe's network, its weights random."""
    options, input_ = recipe.network, recipe.input
    net = build_entry(
        entry_of(options.name),
        options.name,
        input_.step_channels,
        input_.steps,
        classes,
        recipe.crop.size,
        {"dropout": options.dropout, **options.settings},
    )
    return StreamNet(
        net,
        consensus=options.consensus,
        segments=recipe.sampling.segments,
        batch_norm=options.batch_norm,
        learn=options.learn,
    )
