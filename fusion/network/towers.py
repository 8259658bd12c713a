"""The two trained runs that a fusion starts from, and everything about them that must agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import UserError
from streams.networks import StreamNet
from streams.scoring import Run
from streams.training import Recipe, RunFolder, Weights, differences, load, stream_net

SHARED = ("store", "classes", "split", "validation", "lists")
"""What of a run's data decides which videos it saw, and how they were made."""


@dataclass(frozen=True)
class Tower:
    """A finished run of one stream."""

    run: Run
    recipe: Recipe
    weights: Weights
    """Those that were best on validation."""

    @property
    def path(self) -> Path:
        return self.run.path

    @property
    def kind(self) -> str:
        return self.run.kind

    def net(self, trained: bool = True) -> StreamNet:
        """The network, with its trained weights or with any."""
        net = stream_net(self.recipe, len(self.run.classes))
        if trained:
            self.run.fill(net, self.weights)
        return net.eval() if trained else net

    def settings(self) -> dict[str, Any]:
        """What of it decides the fusion, as JSON."""
        return {"kind": self.kind, "recipe": self.recipe.settings(), "weights": self.weights.hash}


def load_tower(path: Path, kind: str, unfinished: bool = False) -> Tower:
    """A run that `twostream train` finished (or not, if `unfinished`), of the kind asked for."""
    run = Run.open(path)
    if run.kind != kind:
        raise UserError(f"{path} is a run of the {run.kind} stream; --{kind} takes a {kind} one")
    weights = run.best()
    last = RunFolder(path).last  # it may have been deleted to save space
    if not unfinished and last.exists() and not load(last)["state"]["finished"]:
        raise UserError(
            f"{path} is not trained to its end; let `twostream train {kind}` go on with it, or "
            "pass --unfinished to fuse its best weights so far"
        )
    return Tower(run, run.recipe, weights)


def check_pair(spatial: Tower, temporal: Tower) -> None:
    """Raise UserError where the two cannot be fused, or where fusing them would leak."""
    a, b = spatial.recipe.crop, temporal.recipe.crop
    if a.size != b.size or a.test_share != b.test_share:
        raise UserError(
            f"{spatial.path} sees {a.size} pixels of {a.test_share} of the picture, "
            f"{temporal.path} {b.size} of {b.test_share}: their feature maps would not align; "
            "train both with one --size and --test-share"
        )
    check_data(spatial, temporal.run.settings["data"], str(temporal.path))


def check_data(tower: Tower, data: dict[str, Any], other: str) -> None:
    """A tower's data and that of `other` must be one: a video that one trained on and the other
    tests on would make every figure worthless."""
    mine, theirs = ({k: d[k] for k in SHARED} for d in (tower.run.settings["data"], data))
    different = differences(mine, theirs)
    if different:
        raise UserError(
            f"{tower.path} and {other} differ in their data: {'; '.join(different[:3])}; use one "
            "store, one set of lists and one split for both towers and their fusion"
        )
