"""What every network here is: named parts in a row, pooled features, a classifier.

So whoever needs a part of a network finds it in the same place in all of them: fusion takes maps
after a stage and goes on behind it, features are kept at a stage, weights for pictures are turned
into weights for flow at the first layer, batch norm is frozen by its place.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from storage.errors import UserError
from streams.networks.initial import classifier, randomise

Layout = Literal["stack", "clip"]
"""stack: (N, C, H, W), the fields or frames of a moment side by side as channels.
clip: (N, C, T, H, W), C channels of each of T frames."""

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Stage:
    """The map behind a named part of a network."""

    name: str
    width: int
    """Channels."""
    size: tuple[int, ...]
    """(H, W), or (T, H, W)."""
    stride: float
    """Pixels of the input from one place of the map to the next."""


class Network(nn.Module):
    """float (N, C, H, W) or (N, C, T, H, W) -> logits (N, classes).

    `backbone` runs from the input to pooled features (N, D); `head` classifies them. A name in
    `backbone` is that of the layer in the paper or in the best known implementation.
    """

    answers_each_step = False
    """Whether it answers at every step of its clip, and learns at each (`classify_steps`)."""

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        head: nn.Module,
        *,
        channels: int,
        size: int,
        layout: Layout = "stack",
        frames: int = 1,
        fixed_size: bool = False,
        smallest: int = 1,
        shortest: int = 1,
        fixed_frames: bool = False,
        fixed_pixels: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.backbone = nn.Sequential(OrderedDict(parts))
        self.dropout = nn.Dropout(dropout)
        self.head = head
        self.channels, self.size, self.layout, self.frames = channels, size, layout, frames
        self.fixed_size = fixed_size
        """The classifier takes only maps of `size` (and `frames`): fully connected layers."""
        self.smallest = smallest
        """Pixels of the shortest side that leaves a map behind the last pooling."""
        self.shortest = shortest
        """Frames of the shortest clip that does."""
        self.fixed_frames = fixed_frames
        """Clips must have just `frames` frames, whatever their size."""
        self.fixed_pixels = fixed_pixels
        """Frames must have just `size` pixels, however many there are."""
        self.name = ""
        """By which `build_network` knows it; empty where a builder was called by itself."""
        self.weights_of = ""
        """Whose ImageNet weights start it, where not those of its own name."""

    @classmethod
    def of_clips(
        cls,
        parts: Mapping[str, nn.Module],
        width: int,
        classes: int,
        *,
        channels: int,
        frames: int,
        size: int,
        **limits: Any,
    ) -> Self:
        """A network for clips, with a classifier of `width` features; `limits` as above."""
        return cls(
            parts,
            classifier(width, classes),
            channels=channels,
            size=size,
            layout="clip",
            frames=frames,
            **limits,
        )

    @classmethod
    def of_pictures(
        cls, parts: Mapping[str, nn.Module], width: int, classes: int, **limits: Any
    ) -> Self:
        """A network for pictures whose weights start by He's rule, with a classifier of `width`
        features; `limits` as above."""
        net = cls(parts, classifier(width, classes), **limits)
        randomise(net.backbone)
        return net

    def features(self, x: Tensor) -> Tensor:
        """Pooled features (N, D), before dropout."""
        self.check(x)
        pooled: Tensor = self.backbone(x)
        return pooled

    def classify(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, classes)."""
        logits: Tensor = self.head(self.dropout(features))
        return logits

    def classify_steps(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, S, classes), an answer at each step; one where there are no steps."""
        return self.classify(features)[:, None]

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x))

    def with_own_loss(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features (N, D), and a loss of the network's own, which needs no labels."""
        raise UserError(
            "this network has no loss of its own beside that of the classes; leave --own-loss "
            "away, or train --network hidden-two-stream"
        )

    def start_from(self, state: Mapping[str, Tensor], source: str) -> str:
        """Take weights that the network reads in a way of its own; says what was done, and nothing
        where it reads them as all networks do."""
        return ""

    def part(self, name: str) -> nn.Module:
        """A part by its name, which must be there."""
        if name not in self.names:
            raise UserError(f"no part {name!r} here; there are {', '.join(self.names)}")
        return self.backbone.get_submodule(name)

    def until(self, x: Tensor, stage: str) -> Tensor:
        """The map behind the part `stage`."""
        self.part(stage)
        for name, part in self.backbone.named_children():
            x = part(x)
            if name == stage:
                break
        return x

    def after(self, x: Tensor, stage: str) -> Tensor:
        """From the map behind `stage` to pooled features."""
        self.part(stage)
        for part in list(self.backbone)[self.names.index(stage) + 1 :]:
            x = part(x)
        return x

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.backbone.named_children())

    @property
    def first(self) -> str:
        """The name of the first convolution: the layer that depends on the input's channels."""
        return next(n for n, m in self.named_modules() if isinstance(m, CONVOLUTIONS))

    @property
    def norms(self) -> list[nn.Module]:
        """Batch norms of any dimension, in the order in which the input meets them."""
        return [m for m in self.backbone.modules() if isinstance(m, _BatchNorm)]

    def shape(self) -> tuple[int, ...]:
        """(C, H, W) or (C, T, H, W) of an input of the network's own size."""
        place = (self.size, self.size)
        clip = (self.frames, *place)
        return (self.channels, *(clip if self.layout == "clip" else place))

    def stages(self, x: Tensor | None = None) -> tuple[Stage, ...]:
        """Every part whose output is a map, with its width, size and stride, for an input of the
        network's own size, or for `x`."""
        if x is None:
            x = torch.zeros(1, *self.shape(), device=next(self.parameters()).device)
        size, dimensions = x.shape[-1], x.ndim
        found = []
        training = self.training
        self.eval()
        with torch.no_grad():
            for name, part in self.backbone.named_children():
                x = part(x)
                if x.ndim == dimensions and math.prod(x.shape[-2:]) > 1:
                    stride = size / x.shape[-1]
                    found.append(Stage(name, x.shape[1], tuple(x.shape[2:]), stride))
        self.train(training)
        return tuple(found)

    def check(self, x: Tensor) -> None:
        """Raise UserError where the input cannot be taken."""
        wanted = self.shape()
        if x.ndim != len(wanted) + 1 or x.shape[1] != self.channels:
            raise UserError(
                f"this network takes (N, {', '.join(map(str, wanted))}), not {tuple(x.shape)}"
            )
        if self.fixed_frames and self.layout == "clip" and x.shape[2] != self.frames:
            raise UserError(
                f"this network takes clips of {self.frames} frames, not {x.shape[2]}; change "
                "--length"
            )
        if self.fixed_size and tuple(x.shape[1:]) != wanted:
            raise UserError(
                f"the classifier of this network takes inputs of {wanted} only, not "
                f"{tuple(x.shape[1:])}; change --size (and --length)"
            )
        if self.fixed_pixels and tuple(x.shape[-2:]) != (self.size, self.size):
            raise UserError(
                f"this network takes frames of {self.size} x {self.size} pixels only, not "
                f"{x.shape[-2]} x {x.shape[-1]}; change --size"
            )
        if min(x.shape[-2:]) < self.smallest:
            raise UserError(
                f"this network takes inputs of {self.smallest} pixels and more, not "
                f"{x.shape[-2]} x {x.shape[-1]}: nothing is left of them; change --size"
            )
        if self.layout == "clip" and x.shape[2] < self.shortest:
            raise UserError(
                f"this network takes clips of {self.shortest} frames and more, not {x.shape[2]}: "
                "nothing is left of them; change --length"
            )
