"""Conv-level fusion (Feichtenhofer et al. 2016) of two trained ResNet streams."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fusion.network.joins import ConcatJoin, Join, make_join
from fusion.network.pooling import SnapshotPool
from storage.errors import UserError
from streams.networks import StreamNet

STAGES = ("layer1", "layer2", "layer3", "layer4")
FUSABLE = STAGES[1:]


class ConvFusionNet(nn.Module):
    """Frames (B, T, 3, H, W) and flow stacks (B, T, 2L, H, W) -> fused logits (B, classes), and
    the temporal tower's own where it is kept (`two_towers`), else None.

    The towers are copies of two trained `StreamNet`s. After each of `stages` the temporal map is
    joined into the spatial one; the joined map of the last stage goes through the rest of the
    spatial tower. What of the temporal tower lies behind its last join is cut, unless the tower
    keeps its head.
    """

    def __init__(
        self,
        spatial: StreamNet,
        temporal: StreamNet,
        *,
        stages: Sequence[str] = ("layer4",),
        join: str = "conv",
        pool: str = "3d",
        two_towers: bool = False,
        dropout: float = 0.5,
        sketch: int = 2048,
        tune: str = "all",
    ) -> None:
        super().__init__()
        check_towers(spatial, temporal, stages)
        self.stages = tuple(stage for stage in STAGES if stage in stages)
        self.towers = nn.ModuleDict(
            {"spatial": copy.deepcopy(spatial), "temporal": copy.deepcopy(temporal)}
        )
        a, b = self.tower("spatial"), self.tower("temporal")
        classes = a.head.out_features
        joins: dict[str, Join] = {}
        for stage in self.stages:
            onward = stage != STAGES[-1]
            widths = stage_width(a, stage), stage_width(b, stage)
            joins[stage] = make_join(join, *widths, sketch=sketch, onward=onward)
            if onward and joins[stage].out != widths[0]:
                widen(a, STAGES[STAGES.index(stage) + 1], joins[stage].out)
        self.joins = nn.ModuleDict(joins)
        last = joins.get(STAGES[-1])
        width = last.out if last is not None else stage_width(a, STAGES[-1])
        self.pool = SnapshotPool(pool, width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)
        start_head(self.head, a.head, b.head, last)
        self.two_towers = two_towers
        a.network.head = nn.Identity()
        if not two_towers:
            b.network.head = nn.Identity()
            for stage in STAGES[STAGES.index(self.stages[-1]) + 1 :]:
                setattr(b.backbone, stage, nn.Identity())
        for tower in (a, b):
            tower.consensus = nn.Identity()
        self.tune = tune
        if tune not in ("all", "after"):
            raise UserError(f"--tune {tune!r} is not one of all, after")
        if tune == "after":
            for module in self.before():
                module.requires_grad_(False)

    def tower(self, name: str) -> Any:
        return self.towers[name]

    def before(self) -> list[nn.Module]:
        """Layers of both towers before their first join, and all of the temporal one."""
        spatial = self.tower("spatial").backbone
        first = STAGES.index(self.stages[0])
        early = [getattr(spatial, name) for name in ("conv1", "bn1", *STAGES[: first + 1])]
        return [*early, self.tower("temporal")]

    def train(self, mode: bool = True) -> ConvFusionNet:
        """What is not tuned keeps its running statistics in training too."""
        super().train(mode)
        if mode and self.tune == "after":
            for module in self.before():
                module.eval()
        return self

    def maps(self, frames: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """The joined map of the last stage (B, T, C, h, w), and the temporal tower's own (which
        is that of its last kept stage)."""
        b, t = frames.shape[:2]
        spatial, temporal = self.tower("spatial").backbone, self.tower("temporal").backbone
        x, y = stem(spatial, frames.flatten(0, 1)), stem(temporal, flow.flatten(0, 1))
        for stage in STAGES:
            x, y = getattr(spatial, stage)(x), getattr(temporal, stage)(y)
            if stage in self.joins:
                check_maps(x, y, stage)
                x = self.joins[stage](x, y)
        return x.unflatten(0, (b, t)), y.unflatten(0, (b, t))

    def features(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Pooled features (B, C) of the fusion and (B, C') of the temporal tower."""
        joined, temporal = self.maps(*inputs)
        return self.pool(joined), temporal.mean(dim=(1, 3, 4))

    def classify(self, features: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
        fused, temporal = features
        own = None
        if self.two_towers:
            tower = self.tower("temporal")
            own = tower.network.classify(temporal)
        return self.head(self.dropout(fused)), own

    def forward(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
        return self.classify(self.features(inputs))


def fused_logits(outputs: tuple[Tensor, Tensor | None]) -> Tensor:
    """One table of scores: with two towers, the mean of both log-probabilities."""
    fused, own = outputs
    if own is None:
        return fused.float()
    return (fused.float().log_softmax(-1) + own.float().log_softmax(-1)) / 2


def stem(backbone: Any, x: Tensor) -> Tensor:
    """What comes before the stages."""
    stemmed: Tensor = backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(x))))
    return stemmed


def stage_width(net: Any, stage: str) -> int:
    """Channels that a stage gives."""
    block = getattr(net.backbone, stage)[-1]
    last = block.conv3 if hasattr(block, "conv3") else block.conv2
    return int(last.out_channels)


def check_towers(spatial: StreamNet, temporal: StreamNet, stages: Sequence[str]) -> None:
    """Raise UserError where the two cannot be joined as asked."""
    unknown = [stage for stage in stages if stage not in FUSABLE]
    if unknown or not stages:
        raise UserError(
            f"--stages {' '.join(stages) or '(none)'}: {unknown[0] if unknown else 'nothing'} is "
            f"no stage to fuse after; choose from {', '.join(FUSABLE)}"
        )
    classes = [int(net.head.out_features) for net in (spatial, temporal)]
    if classes[0] != classes[1]:
        raise UserError(
            f"the spatial tower knows {classes[0]} classes and the temporal one {classes[1]}; "
            "train both from the same lists"
        )


def check_maps(spatial: Tensor, temporal: Tensor, stage: str) -> None:
    if spatial.shape[-2:] != temporal.shape[-2:]:
        sizes = ["x".join(map(str, maps.shape[-2:])) for maps in (spatial, temporal)]
        raise UserError(
            f"the towers' feature maps do not align after {stage}: {sizes[0]} and {sizes[1]}; "
            "frames and flow must be crops of one size"
        )


@torch.no_grad()
def widen(net: Any, stage: str, channels: int) -> None:
    """Let a stage take more channels: the filters of the new ones are copies of the old, so that
    a concatenation starts out as a sum."""
    block = getattr(net.backbone, stage)[0]
    if block.downsample is None:  # layer1 of the shallow ResNets, after which nothing is fused
        raise UserError(f"{stage} cannot take {channels} channels; fuse after another stage")
    block.conv1 = widened(block.conv1, channels)
    block.downsample[0] = widened(block.downsample[0], channels)


@torch.no_grad()
def widened(conv: nn.Conv2d, channels: int) -> nn.Conv2d:
    old = conv.weight
    new = nn.Conv2d(
        channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        bias=False,
    )
    rest = channels - old.shape[1]
    copies = old.repeat(1, -(-rest // old.shape[1]), 1, 1)[:, :rest]
    new.weight.copy_(torch.cat([old, copies * (old.shape[1] / rest)], dim=1))
    return new


@torch.no_grad()
def start_head(head: nn.Linear, spatial: nn.Linear, temporal: nn.Linear, last: Join | None) -> None:
    """A classifier to begin with, made of the towers' two; `fusion.network.start` refines it."""
    width = spatial.in_features
    head.bias.copy_(spatial.bias)
    if isinstance(last, ConcatJoin):
        head.weight.copy_(torch.cat([spatial.weight, temporal.weight], dim=1))
        head.bias.copy_(spatial.bias + temporal.bias)
    elif head.in_features == width:
        head.weight.copy_(spatial.weight)
    else:  # a sketch, which no classifier has seen
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)
