"""How a stream is trained, as plain values: published recipes, and what we would do today."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from storage.errors import UserError
from streams.inputs import RGB, AnyInput, FlowStack, RGBDifference, input_from, settings_of
from streams.networks import NetworkOptions, entry_of
from streams.samples import Crop, Sampling
from streams.settings import tuples, values_of
from streams.training.optimisation import Optimisation

KINDS = ("spatial", "temporal", "difference")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a stream becomes, but the data and the seed."""

    input: AnyInput
    """RGB, FlowStack or RGBDifference."""
    sampling: Sampling = field(default_factory=Sampling)
    crop: Crop = field(default_factory=Crop)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    optim: Optimisation = field(default_factory=Optimisation)

    def settings(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "input": settings_of(self.input),
            **{part: values_of(getattr(self, part)) for part in PARTS},
        }


PARTS = {"sampling": Sampling, "crop": Crop, "network": NetworkOptions, "optim": Optimisation}


def recipe_from(settings: dict[str, Any]) -> Recipe:
    """The recipe that `Recipe.settings` described."""
    input_ = input_from(settings["input"])
    return Recipe(input_, **{part: cls(**tuples(settings[part])) for part, cls in PARTS.items()})


def published_2014(kind: str) -> Recipe:
    """Simonyan and Zisserman. Their classifier learnt alone on ImageNet features; here all does."""
    common: dict[str, Any] = {"nesterov": False, "schedule": "steps", "warmup": 0.0, "clip": 0.0}
    common |= {"smoothing": 0.0, "amp": "off", "batch": 256}
    crop = Crop(crops="random")
    sampling = Sampling(balanced=True)
    if kind == "temporal":
        return Recipe(
            FlowStack(length=10, subtract_mean=True),
            sampling,
            crop,
            NetworkOptions(weights="none", dropout=0.9),
            Optimisation(lr=1e-2, steps=80_000, milestones=(50 / 80, 70 / 80), **common),
        )
    optim = Optimisation(lr=1e-3, steps=20_000, milestones=(14 / 20,), **common)
    input_ = RGB() if kind == "spatial" else RGBDifference()
    return Recipe(input_, sampling, crop, NetworkOptions(dropout=0.9), optim)


def published_tsn(kind: str) -> Recipe:
    """Wang et al. 2016: three segments, partial batch norm, corner crops, heavy dropout."""
    common: dict[str, Any] = {"nesterov": False, "schedule": "steps", "warmup": 0.0}
    common |= {"smoothing": 0.0, "batch": 128, "amp": "off"}
    sampling = Sampling(segments=3)
    if kind == "spatial":
        return Recipe(
            RGB(),
            sampling,
            Crop(),
            NetworkOptions(batch_norm="partial", dropout=0.8),
            Optimisation(lr=1e-3, epochs=80, milestones=(30 / 80, 60 / 80), clip=40, **common),
        )
    return Recipe(
        FlowStack(length=5) if kind == "temporal" else RGBDifference(length=5),
        sampling,
        Crop(scales=(1.0, 0.875, 0.75)),
        NetworkOptions(batch_norm="partial", dropout=0.7),
        Optimisation(lr=5e-3, epochs=340, milestones=(190 / 340, 300 / 340), clip=20, **common),
    )


def modern(kind: str) -> Recipe:
    """TSN's samples with today's optimisation."""
    inputs: dict[str, AnyInput] = {
        "spatial": RGB(),
        "temporal": FlowStack(length=10),
        "difference": RGBDifference(),
    }
    temporal = kind != "spatial"
    return Recipe(
        inputs[kind],
        Sampling(segments=3),
        Crop(scales=(1.0, 0.875, 0.75) if temporal else (1.0, 0.875, 0.75, 0.66)),
        NetworkOptions(dropout=0.7 if temporal else 0.5),
        Optimisation(lr=0.02 if temporal else 0.01, epochs=100 if temporal else 50, ema=0.999),
    )


def small(kind: str) -> Recipe:
    """Minutes on a laptop's CPU, from scratch: for the sample data, and for trying things out.

    Nothing is mirrored: of the sample data's motions, left is the mirror image of right.
    """
    base = modern(kind)
    input_ = replace(base.input, length=5) if kind == "temporal" else base.input
    return Recipe(
        input_,
        Sampling(segments=1),
        Crop(size=64, scales=(1.0, 0.875, 0.75), flip=False),
        NetworkOptions(depth=18, weights="none", dropout=0.2),
        Optimisation(lr=0.02, epochs=24, batch=16, warmup=0.1, ema=0.97, best="loss"),
    )


RECIPES = {"2014": published_2014, "tsn": published_tsn, "modern": modern, "small": small}


def recipe(name: str, kind: str, network: str = "") -> Recipe:
    """A recipe by name, for one kind of stream, and for a network if one is named."""
    if name not in RECIPES:
        raise UserError(f"--recipe {name!r} is not one of {', '.join(RECIPES)}")
    if kind not in KINDS:
        raise UserError(f"stream {kind!r} is not one of {', '.join(KINDS)}")
    base = RECIPES[name](kind)
    return for_network(base, kind, network, little=name == "small") if network else base


def for_network(base: Recipe, kind: str, name: str, *, little: bool) -> Recipe:
    """The recipe with a network of another name, which looks at what it was published with."""
    entry = entry_of(name)
    if kind not in entry.streams:
        raise UserError(
            f"--network {name} is trained by `twostream train {' or '.join(entry.streams)}`, "
            f"not as the {kind} stream"
        )
    input_: AnyInput = base.input
    sampling, optim = base.sampling, base.optim
    if entry.layout == "clip" or entry.frames > 1:
        steps = entry.small_frames or entry.frames if little else entry.frames
        input_ = replace(base.input, length=steps)
        if not isinstance(input_, RGBDifference):
            input_ = replace(input_, stride=entry.stride)
        sampling = replace(sampling, segments=1)
    elif base.input.kind == "rgb":
        input_ = replace(base.input, length=1)
    if little:
        optim = replace(optim, lr=entry.small_lr)
    settings = entry.small if little else {}
    return replace(
        base,
        input=input_,
        sampling=sampling,
        crop=replace(base.crop, size=entry.small_size if little else entry.size),
        network=replace(
            base.network,
            network=name,
            weights="none" if little else entry.weights,
            extra=tuple(f"{key}={str(value).lower()}" for key, value in settings.items()),
        ),
        optim=optim,
    )
