"""Conv-level fusion (Feichtenhofer et al. 2016) of two trained streams, of any network with maps.

Departs from the paper: a hidden layer may stand beside each join (see `joins`), since a ResNet has
no further layers behind its last map, as the VGG of the paper has.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from fusion.network.joins import BilinearJoin, ConcatJoin, Join, make_join, signed_root
from fusion.network.places import Place, find_places, maps_of
from fusion.network.pooling import FusedPool, SnapshotPool
from fusion.network.widening import widen
from storage.errors import UserError
from streams.networks import Network, StreamNet


class ConvFusionNet(nn.Module):
    """Frames (B, T, C, H, W) and flow stacks (B, T, 2L, H, W) -> fused logits (B, classes), and
    the temporal tower's own where it is kept (`two_towers`), else None.

    The towers are copies of two trained `StreamNet`s. After each of `stages` the temporal map is
    joined into the spatial one; the joined map goes through the rest of the spatial tower. What of
    the temporal tower lies behind its last join is cut, unless the tower keeps its head.
    """

    def __init__(
        self,
        spatial: StreamNet,
        temporal: StreamNet,
        *,
        stages: Sequence[str] = ("last-1", "last"),
        join: str = "conv",
        pool: str = "2d",
        two_towers: bool = False,
        dropout: float = 0.5,
        sketch: int = 2048,
        tune: str = "all",
        hidden: int = 0,
        root: str = "place",
    ) -> None:
        super().__init__()
        check_classes(spatial, temporal)
        self.places = find_places(spatial.network, temporal.network, stages)
        self.stages = tuple(place.spatial for place in self.places)
        widths = [
            {stage.name: stage.width for stage in maps_of(tower.network)}
            for tower in (spatial, temporal)
        ]
        self.towers = nn.ModuleDict(
            {"spatial": copy.deepcopy(spatial), "temporal": copy.deepcopy(temporal)}
        )
        a, b = self.tower("spatial"), self.tower("temporal")
        self.last_map = next(reversed(widths[0]))
        self.straight = not parameters_behind(a.network, self.last_map)
        """Whether the last map goes to the classifier through nothing but pooling."""
        joins: dict[str, Join] = {}
        for place in self.places:
            onward = not self.straight or place.spatial != self.last_map
            width = widths[0][place.spatial]
            joins[place.spatial] = own = make_join(
                join,
                width,
                widths[1][place.temporal],
                sketch=sketch,
                onward=onward,
                hidden=hidden,
                root=root == "place",
            )
            if onward and own.out != width:
                widen(a.network, place.spatial, width, own.out)
        self.joins = nn.ModuleDict(joins)
        last = joins.get(self.last_map) if self.straight else None
        width = last.out if last is not None else widths[0][self.last_map]
        self.root = isinstance(last, BilinearJoin) and not last.root
        if pool != "2d" and not self.straight:
            raise UserError(
                f"--pool {pool} needs a network whose last map goes straight to its classifier; "
                f"layers follow {self.last_map}: use --pool 2d"
            )
        self.pool = FusedPool(width) if join == "3d-fused" else SnapshotPool(pool, width)
        if isinstance(self.pool, FusedPool):
            width = FusedPool.WIDTH
        self.dropout = nn.Dropout(dropout)
        classes = a.head.out_features
        self.head = nn.Linear(width if self.straight else a.head.in_features, classes)
        start_head(self.head, a.head, b.head, last)
        self.two_towers = two_towers
        a.network.head = nn.Identity()
        if not two_towers:
            b.network.head = nn.Identity()
            for name in names_behind(b.network, self.places[-1].temporal):
                setattr(b.backbone, name, nn.Identity())
        for tower in (a, b):
            tower.consensus = nn.Identity()  # type: ignore[assignment]
        self.tune = tune
        if tune not in ("all", "after"):
            raise UserError(f"--tune {tune!r} is not one of all, after")
        if tune == "after":
            for module in self.before():
                module.requires_grad_(False)

    def tower(self, name: str) -> StreamNet:
        return cast(StreamNet, self.towers[name])

    def join(self, stage: str) -> Join:
        return cast(Join, self.joins[stage])

    def before(self) -> list[nn.Module]:
        """Layers of both towers before their first join, and all of the temporal one."""
        spatial = self.tower("spatial").network
        first = spatial.names.index(self.stages[0])
        return [*list(spatial.backbone)[: first + 1], self.tower("temporal")]

    def train(self, mode: bool = True) -> ConvFusionNet:
        """What is not tuned keeps its running statistics in training too."""
        super().train(mode)
        if mode and self.tune == "after":
            for module in self.before():
                module.eval()
        return self

    def pairs(self, frames: Tensor, flow: Tensor) -> Iterator[tuple[Place | None, Tensor, Tensor]]:
        """Both maps (N, C, h, w) as each join is given them; last, with None for the place, the
        spatial tower's last map and the temporal tower's map behind its last join."""
        towers = [self.tower(name) for name in ("spatial", "temporal")]
        a, b = (tower.network for tower in towers)
        x, y = (tower.snapshots(v) for tower, v in zip(towers, (frames, flow), strict=True))
        for network, value in ((a, x), (b, y)):
            network.check(value)
        behind: Place | None = None
        for place in self.places:
            x = through(a, x, behind and behind.spatial, place.spatial)
            y = through(b, y, behind and behind.temporal, place.temporal)
            check_maps(x, y, place)
            yield place, flat(x), flat(y)
            joined = self.joins[place.spatial](flat(x), flat(y))
            x = joined if x.ndim == 4 else joined.unflatten(0, (len(x), -1)).transpose(1, 2)
            behind = place
        assert behind is not None
        yield None, through(a, x, behind.spatial, self.last_map), y

    def maps(self, frames: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """The spatial tower's last map (B T, C, h, w), and the temporal tower's behind its last
        join; clips keep their time, (B T, C, t, h, w)."""
        *_, (_, x, y) = self.pairs(frames, flow)
        return x, y

    def features(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Pooled features (B, D) of the fusion, and (B, D') of the temporal tower if it is kept."""
        snapshots = inputs[0].shape[:2]
        x, y = self.maps(*inputs)
        if isinstance(self.pool, SnapshotPool) and self.pool.kind == "2d":
            rest = self.tower("spatial").network.after(x, self.last_map)
            fused = rest.unflatten(0, snapshots).mean(dim=1)
        else:
            fused = self.pool(flat(x).unflatten(0, (snapshots[0], -1)))
        if self.root:
            fused = signed_root(fused.float())
        own = None
        if self.two_towers:
            own = self.tower("temporal").network.after(y, self.places[-1].temporal)
            own = own.unflatten(0, snapshots).mean(dim=1)
        return fused, own

    def classify(self, features: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        fused, temporal = features
        own = None if temporal is None else self.tower("temporal").network.classify(temporal)
        return self.head(self.dropout(fused)), own

    def forward(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
        return self.classify(self.features(inputs))


def fused_logits(outputs: tuple[Tensor, Tensor | None]) -> Tensor:
    """One table of scores: with two towers, the mean of both log-probabilities."""
    fused, own = outputs
    if own is None:
        return fused.float()
    return (fused.float().log_softmax(-1) + own.float().log_softmax(-1)) / 2


def names_behind(network: Network, stage: str) -> tuple[str, ...]:
    return network.names[network.names.index(stage) + 1 :]


def parameters_behind(network: Network, stage: str) -> bool:
    """Whether anything that learns lies between a map and the pooled features."""
    behind = [network.backbone.get_submodule(name) for name in names_behind(network, stage)]
    return any(True for part in behind for _ in part.parameters())


def through(network: Network, x: Tensor, behind: str | None, stage: str) -> Tensor:
    """From the map behind one part (None: from the input) to that behind another."""
    start = 0 if behind is None else network.names.index(behind) + 1
    for part in list(network.backbone)[start : network.names.index(stage) + 1]:
        x = part(x)
    return x


def flat(x: Tensor) -> Tensor:
    """Maps of clips (N, C, t, h, w) as maps of pictures (N t, C, h, w); others as they are."""
    return x if x.ndim == 4 else x.transpose(1, 2).flatten(0, 1)


def check_classes(spatial: StreamNet, temporal: StreamNet) -> None:
    classes = [int(net.head.out_features) for net in (spatial, temporal)]
    if classes[0] != classes[1]:
        raise UserError(
            f"the spatial tower knows {classes[0]} classes and the temporal one {classes[1]}; "
            "train both from the same lists"
        )


def check_maps(spatial: Tensor, temporal: Tensor, place: Place) -> None:
    """Raise UserError where two maps have not the same places."""
    if spatial.shape[2:] != temporal.shape[2:]:
        sizes = ["x".join(map(str, maps.shape[2:])) for maps in (spatial, temporal)]
        raise UserError(
            f"the towers' feature maps do not align after {' and '.join(dict.fromkeys(place))}: "
            f"{sizes[0]} and {sizes[1]}; frames and flow must be crops of one size, and --stages "
            "must name maps of one size"
        )


@torch.no_grad()
def start_head(head: nn.Linear, spatial: nn.Linear, temporal: nn.Linear, last: Join | None) -> None:
    """A classifier to begin with, of the towers' two; `fusion.network.start` refines it."""
    width = spatial.in_features
    head.bias.copy_(spatial.bias)
    if isinstance(last, ConcatJoin) and head.in_features == width + temporal.in_features:
        head.weight.copy_(torch.cat([spatial.weight, temporal.weight], dim=1))
        head.bias.copy_(spatial.bias + temporal.bias)
    elif head.in_features == width:
        head.weight.copy_(spatial.weight)
    else:  # features that no classifier has seen
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)
