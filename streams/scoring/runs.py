"""A trained run, opened again: what it was trained on, and its network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from storage.errors import UserError
from storage.store import StoreConfig
from streams.inputs import Input
from streams.networks import StreamNet, current_names
from streams.training import Recipe, RunFolder, checkpoint, recipe_from, stream_net


@dataclass(frozen=True)
class Run:
    """What config.json and best.pt say; `kind` tells which code can use it."""

    path: Path
    kind: str
    classes: tuple[str, ...]
    settings: dict[str, Any]
    origin: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Run:
        config = RunFolder(path).read()
        settings = config["settings"]
        return cls(
            Path(path),
            settings["kind"],
            tuple(settings["data"]["classes"]),
            settings,
            config["made"],
        )

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

    def best(self) -> dict[str, Any]:
        """The checkpoint that did best on the validation part."""
        folder = RunFolder(self.path)
        if not folder.best.exists():
            raise UserError(
                f"{self.path} has no best checkpoint yet; let the training reach its first "
                "validation (the same `twostream train` command goes on with it)"
            )
        return checkpoint.load(folder.best)

    def check_store(self, inputs: dict[str, Input], config: StoreConfig, path: Path) -> None:
        """The store must be made as the one that the run was trained on, as far as it matters."""
        then, now = self.settings["data"]["store"], config.to_json()
        for name in sorted({name for input_ in inputs.values() for name in input_.relies_on}):
            if then.get(name) != now[name]:
                raise UserError(
                    f"{self.path} was trained on a store with {name} {then.get(name)!r}; {path} "
                    f"has {now[name]!r}: extract with the same, or pass --other-store"
                )


def load_stream(run: Run, device: torch.device) -> StreamNet:
    """The trained network of a stream's run, ready to score."""
    saved = run.best()
    net = stream_net(run.recipe, len(run.classes))
    if saved["classes"] != list(run.classes):
        raise UserError(f"{run.path}: best.pt and config.json name different classes")
    try:
        net.load_state_dict(current_names(saved["model"]))
    except RuntimeError as error:
        raise UserError(
            f"{run.path}: best.pt does not fit the network in config.json: "
            f"{str(error).splitlines()[-1].strip()}"
        ) from None
    return net.to(device).eval()
