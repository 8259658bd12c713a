"""Training a network over sequences of features, as the training loop asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.aggregators import ActionVLAD, Aggregator
from streams.sequences.data import FeatureBatch, FeatureDataset
from streams.sequences.recipes import SequenceRecipe
from streams.sequences.source import FeatureSource
from streams.training import Step, decay_groups

log = logging.getLogger(__name__)

CENTRE_VIDEOS = 300
"""Training videos to whose descriptors VLAD's centres are fitted, at most."""
KIND = "sequence"


class SequenceNet(nn.Module):
    """Features as stored -> standardised -> an aggregator."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, aggregator: Aggregator, pooled: bool = False) -> None:
        """`pooled`: of maps, the mean over their places."""
        super().__init__()
        self.aggregator, self.pooled = aggregator, pooled
        self.register_buffer("mean", torch.zeros(aggregator.width))
        self.register_buffer("deviation", torch.ones(aggregator.width))

    def standardised(self, x: Tensor) -> Tensor:
        """(N, T, D) or (N, T, D, h, w) -> float32."""
        if self.pooled:
            x = x.float().mean((3, 4))
        places = (1,) * (x.ndim - 3)
        mean, deviation = (v.view(-1, *places) for v in (self.mean, self.deviation))
        return (x.float() - mean) / deviation

    def forward(
        self, x: Tensor, lengths: Tensor, labels: Tensor | None = None, state: Any = None
    ) -> Any:
        """Logits (N, classes); with labels the next piece of the loss: loss, logits, and the state
        from which to go on, None after the last piece."""
        if labels is None:
            return self.aggregator(self.standardised(x), lengths)
        if state is None:
            state = self.aggregator.pieces(self.standardised(x), labels, lengths)
        piece = next(state)
        return piece.loss, piece.logits, None if piece.last else state


class SequenceTask:
    """LSTMs, pooling, VLAD, attention ... on the features of frozen networks."""

    kind = KIND
    answers = True
    measures: tuple[str, ...] = ()

    def __init__(self, recipe: SequenceRecipe, source: FeatureSource, seed: int) -> None:
        self.recipe, self.source, self.seed = recipe, source, seed
        self.optim = recipe.optim
        self.classes = source.classes

    def settings(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "seed": self.seed,
            "recipe": self.recipe.settings(),
            "data": self.source.settings(),
        }

    def build_model(self, initial: bool) -> SequenceNet:
        torch.manual_seed(self.seed)
        source = self.source
        net = sequence_net(self.recipe, source.shape, source.widths, len(self.classes))
        if initial and self.recipe.net.standardise:
            found = source.statistics()
            net.mean.copy_(torch.cat([torch.from_numpy(s.mean) for s in found]))
            net.deviation.copy_(torch.cat([torch.from_numpy(s.deviation) for s in found]))
        if initial and isinstance(net.aggregator, ActionVLAD):
            log.info("centres by k-means on descriptors of training videos")
            self.set_centres(net, net.aggregator)
        return net

    @torch.no_grad()
    def set_centres(self, net: SequenceNet, vlad: ActionVLAD) -> None:
        each = [vlad.samples(net.standardised(x), lengths) for x, lengths in self.some()]
        vlad.set_centres([torch.cat(own) for own in zip(*each, strict=True)], seed=self.seed)

    def some(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Some training videos, spread over the list: features and lengths."""
        data = self.data("train")
        count = min(CENTRE_VIDEOS, len(data))
        for i in range(count):
            batch = data.collate([data[i * len(data) // count]])
            yield batch.features, batch.lengths

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        return decay_groups(model, "aggregator.head", self.optim.head_lr)

    def data(self, part: str) -> FeatureDataset:
        return FeatureDataset(self.source, part, self.recipe.windows, seed=self.seed)

    def step(self, model: Callable[..., Any], batch: FeatureBatch, state: Any = None) -> Step:
        loss, logits, state = model(batch.features, batch.lengths, batch.labels, state)
        return Step(loss, logits.float(), state)


def sequence_net(
    recipe: SequenceRecipe, shape: tuple[int, ...], widths: list[int], classes: int
) -> SequenceNet:
    """The recipe's network, its weights random."""
    options, frames = recipe.net, recipe.windows.length
    if frames == 0 and "variant=local" in options.extra:
        raise UserError("local pooling has a place for each window of a video; give --length")
    aggregator = options.build(shape, classes, frames=frames, widths=widths)
    aggregator.smoothing = recipe.optim.smoothing
    return SequenceNet(aggregator, options.pools(shape))
