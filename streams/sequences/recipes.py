"""How a network over sequences is trained, as plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from storage.errors import UserError
from streams.sequences.table import SEQUENCES, SequenceNetwork
from streams.sequences.window_options import Windows
from streams.settings import tuples, values_of
from streams.training import Optimisation


@dataclass(frozen=True)
class SequenceRecipe:
    """Everything that decides what it becomes, but the data and the seed."""

    windows: Windows = field(default_factory=Windows)
    net: SequenceNetwork = field(default_factory=SequenceNetwork)
    optim: Optimisation = field(default_factory=Optimisation)

    def settings(self) -> dict[str, Any]:
        """As JSON values."""
        return {part: values_of(getattr(self, part)) for part in SEQUENCE_PARTS}


SEQUENCE_PARTS: dict[str, Any] = {
    "windows": Windows,
    "net": SequenceNetwork,
    "optim": Optimisation,
}


def sequence_recipe_from(settings: dict[str, Any]) -> SequenceRecipe:
    """The recipe that `SequenceRecipe.settings` described."""
    return SequenceRecipe(
        **{part: cls(**tuples(settings[part])) for part, cls in SEQUENCE_PARTS.items()}
    )


def homework() -> SequenceRecipe:
    """The homework's: 120 steps, back and forth or a random window, gradients of 30 steps,
    clipped; loss and prediction rise to the end. What it leaves open (optimiser, rate, width) is
    chosen here."""
    return SequenceRecipe(
        Windows(length=120),
        SequenceNetwork(truncation=30),
        Optimisation(
            lr=1e-3,
            optimiser="adamw",
            nesterov=False,
            weight_decay=1e-2,
            epochs=40,
            clip=5.0,
            smoothing=0.0,
            amp="off",
        ),
    )


def modern_sequence() -> SequenceRecipe:
    """The same without cuts, and with averaged weights."""
    base = homework()
    return replace(
        base,
        net=replace(base.net, truncation=0),
        optim=replace(base.optim, smoothing=0.1, ema=0.99, amp="auto"),
    )


def small_sequence() -> SequenceRecipe:
    """Seconds on a laptop's CPU: for the sample data, and for trying things out."""
    base = homework()
    return SequenceRecipe(
        Windows(length=16),
        replace(base.net, hidden=64, dropout=0.2, truncation=8),
        replace(base.optim, lr=3e-3, epochs=40, batch=16, warmup=0.1, best="loss"),
    )


SEQUENCE_RECIPES: dict[str, Callable[[], SequenceRecipe]] = {
    "homework": homework,
    "modern": modern_sequence,
    "small": small_sequence,
}


def sequence_recipe(name: str, network: str = "") -> SequenceRecipe:
    """A recipe by name, with what a network was published with."""
    if name not in SEQUENCE_RECIPES:
        raise UserError(f"--recipe {name!r} is not one of {', '.join(SEQUENCE_RECIPES)}")
    recipe = SEQUENCE_RECIPES[name]()
    if not network:
        return recipe
    if network not in SEQUENCES:
        raise UserError(f"--network {network!r} is not one of {', '.join(SEQUENCES)}")
    values = dict(SEQUENCES[network].defaults)
    if name == "small":
        values.pop("hidden", None)
    values["network"] = network
    return replace(recipe, net=replace(recipe.net, **values))
