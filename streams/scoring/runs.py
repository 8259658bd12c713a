"""A trained run, opened again: what it was trained on, and its network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from storage.errors import UserError
from storage.store import StoreConfig
from streams.inputs import Input
from streams.networks import StreamNet, current_names
from streams.training import Recipe, RunFolder, Weights, load, load_weights, recipe_from, stream_net


@dataclass(frozen=True)
class Run:
    """What config.json and the best weights say; `kind` tells which code can use it."""

    path: Path
    kind: str
    classes: tuple[str, ...]
    settings: dict[str, Any]
    origin: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Run:
        config = RunFolder(path).read()
        try:
            settings = config["settings"]
            kind, classes = settings["kind"], tuple(settings["data"]["classes"])
            return cls(Path(path), kind, classes, settings, config["made"])
        except (KeyError, TypeError) as error:
            raise UserError(
                f"the config.json of {path} is not that of a training here: it lacks {error}"
            ) from None

    @property
    def name(self) -> str:
        """What its score tables are called: --name, else its kind."""
        return str(self.origin.get("name") or self.kind)

    @property
    def recipe(self) -> Recipe:
        """Of a stream's run."""
        return recipe_from(self.settings["recipe"])

    @property
    def split(self) -> int:
        return int(self.settings["data"]["split"])

    @property
    def validation(self) -> float:
        return float(self.settings["data"]["validation"])

    @property
    def adopted(self) -> bool:
        """Of somebody else's weights: nothing is known here of what it was trained on."""
        return "adopted" in self.settings["data"]

    def best(self) -> Weights:
        """The weights that did best on the validation part."""
        path = RunFolder(self.path).best_weights
        if not path.exists():
            raise UserError(
                f"{self.path} has no best weights yet; let the training reach its first "
                "validation (the same `twostream train` command goes on with it)"
            )
        weights = load_weights(path)
        if weights.about.get("classes") != list(self.classes):
            raise UserError(f"{self.path}: {path.name} and config.json name different classes")
        return weights

    @property
    def finished(self) -> bool:
        """Whether it was trained to its end. Its last checkpoint may be gone, to save space."""
        last = RunFolder(self.path).last
        return not last.exists() or bool(load(last)["state"]["finished"])

    def load(self, net: nn.Module) -> Weights:
        """Fill a network with the best weights."""
        weights = self.best()
        self.fill(net, weights)
        return weights

    def fill(self, net: nn.Module, weights: Weights) -> None:
        """Fill a network with weights of this run."""
        try:
            net.load_state_dict(current_names(weights.tensors))
        except RuntimeError as error:
            raise UserError(
                f"{self.path}: {RunFolder(self.path).best_weights.name} does not fit the network "
                f"in config.json: {str(error).splitlines()[-1].strip()}"
            ) from None

    def check_store(self, inputs: Mapping[str, Input], config: StoreConfig, path: Path) -> None:
        """The store must be made as the one that the run was trained on, as far as it matters."""
        if self.adopted:
            return
        then, now = self.settings["data"]["store"], config.to_json()
        for name in sorted({name for input_ in inputs.values() for name in input_.relies_on}):
            if then.get(name) != now[name]:
                raise UserError(
                    f"{self.path} was trained on a store with {name} {then.get(name)!r}; {path} "
                    f"has {now[name]!r}: extract with the same, or pass --other-store"
                )


def load_stream(run: Run, device: torch.device) -> tuple[StreamNet, Weights]:
    """The trained network of a stream's run, ready to score."""
    net = stream_net(run.recipe, len(run.classes))
    weights = run.load(net)
    return net.to(device).eval(), weights


def facts_of(weights: Weights) -> dict[str, Any]:
    """What a score table says of the weights."""
    return {"weights": weights.hash, "step": weights.about.get("step")}
