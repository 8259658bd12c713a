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
from streams.training.published import as_published
from streams.training.small import Small, small_of

KINDS = ("spatial", "temporal", "difference", "motion", "transfer")
WITHOUT_LABELS = {
    "motion": ("motionnet", ("modern", "published", "small")),
    "transfer": ("t3d121", ("modern", "small")),
}
"""Kinds that are no stream and learn from frames alone: their network unless one is named, and
their recipes."""


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
    optim = Optimisation(lr=1e-2, steps=20_000, milestones=(14 / 20,), **common)
    input_ = RGB() if kind == "spatial" else RGBDifference()
    jittered = replace(crop, jitter=0.1)
    return Recipe(input_, sampling, jittered, NetworkOptions(dropout=0.9), optim)


def published_tsn(kind: str) -> Recipe:
    """Wang et al. 2016: three segments, partial batch norm, corner crops, heavy dropout."""
    common: dict[str, Any] = {"nesterov": False, "schedule": "steps", "warmup": 0.0}
    common |= {"smoothing": 0.0, "batch": 128, "amp": "off"}
    sampling = Sampling(segments=3)
    if kind == "spatial":
        return Recipe(
            RGB(),
            sampling,
            Crop(pairs="even"),
            NetworkOptions(batch_norm="partial", dropout=0.8),
            Optimisation(lr=1e-3, epochs=80, milestones=(30 / 80, 60 / 80), clip=40, **common),
        )
    return Recipe(
        FlowStack(length=5) if kind == "temporal" else RGBDifference(length=5),
        sampling,
        Crop(scales=(1.0, 0.875, 0.75), pairs="even"),
        NetworkOptions(batch_norm="partial", dropout=0.7, first_layer="mean"),
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


RECIPES = {
    "2014": published_2014,
    "tsn": published_tsn,
    "modern": modern,
    "small": small,
}
"""Name -> the recipe of a kind of stream. Beside them `published` stands for what the paper of a
network states; it starts from `modern`."""


def recipe(name: str, kind: str, network: str = "") -> Recipe:
    """A recipe by name, for one kind of stream, and for a network if one is named."""
    if name not in (*RECIPES, "published"):
        raise UserError(f"--recipe {name!r} is not one of {', '.join(RECIPES)}, published")
    if kind not in KINDS:
        raise UserError(f"stream {kind!r} is not one of {', '.join(KINDS)}")
    if kind in WITHOUT_LABELS:
        usual, names = WITHOUT_LABELS[kind]
        if name not in names:
            raise UserError(f"--recipe {name} trains streams; {kind}: {', '.join(names)}")
        network = network or usual
    base = RECIPES.get(name, modern)("spatial" if kind in WITHOUT_LABELS else kind)
    if network:
        base = for_network(base, kind, network)
    if kind in WITHOUT_LABELS:
        base = without_labels(base, kind)
    if name == "published":
        return as_published(base, network)
    return smaller(base, small_of(network)) if network and name == "small" else base


def without_labels(base: Recipe, kind: str) -> Recipe:
    """The validation of the lowest loss is the best; motion by Adam, as Zhu et al."""
    optim = replace(base.optim, smoothing=0.0, best="loss")
    if kind == "motion":
        optim = replace(optim, optimiser="adamw", lr=1e-4, nesterov=False)
    return replace(base, optim=optim)


def for_network(base: Recipe, kind: str, name: str) -> Recipe:
    """The recipe with a network of another name, which looks at what it was published with."""
    entry = entry_of(name)
    stream = "spatial" if kind == "transfer" else kind
    if kind == "transfer" and entry.layout != "clip":
        raise UserError(f"--network {name} is for pictures; transfer teaches one for clips")
    if stream not in entry.streams:
        raise UserError(
            f"--network {name} is trained by `twostream train {' or '.join(entry.streams)}`, "
            f"not as the {kind} stream"
        )
    input_, sampling = base.input, base.sampling
    if entry.layout == "clip" or entry.frames > 1:
        input_ = replace(input_, length=entry.frames)
        if not isinstance(input_, RGBDifference):
            input_ = replace(input_, stride=entry.stride)
        sampling = replace(sampling, segments=1)
    elif input_.kind == "rgb":
        input_ = replace(input_, length=1)
    if isinstance(input_, RGB):
        input_ = replace(input_, span=entry.span)  # type: ignore[arg-type]
    elif isinstance(input_, FlowStack) and entry.unit:
        input_ = replace(input_, unit=entry.unit)
    return replace(
        base,
        input=input_,
        sampling=sampling,
        crop=replace(base.crop, size=entry.size),
        network=replace(base.network, network=name, weights=entry.weights),
    )


def smaller(base: Recipe, small: Small) -> Recipe:
    """The same at a small network's size, from scratch."""
    optim = replace(base.optim, lr=small.lr, epochs=small.epochs)
    if small.optimiser == "adamw":
        optim = replace(optim, optimiser="adamw", nesterov=False)
    return replace(
        base,
        input=replace(base.input, length=small.frames) if small.frames else base.input,
        crop=replace(base.crop, size=small.size),
        network=replace(
            base.network,
            weights="none",
            extra=tuple(f"{key}={value}" for key, value in small.settings.items()),
        ),
        optim=optim,
    )
