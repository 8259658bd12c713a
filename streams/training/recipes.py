"""How a stream is trained, as plain values: published recipes, and what we would do today."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from storage.errors import UserError
from streams.inputs import RGB, FlowStack, Input, RGBDifference, input_from, settings_of
from streams.networks import NetworkOptions
from streams.samples import Crop, Sampling

KINDS = ("spatial", "temporal", "difference")


@dataclass(frozen=True)
class Optimisation:
    """How the weights move; the loop needs nothing else of a recipe."""

    epochs: int = 50
    """Passes over the training videos."""
    steps: int = 0
    """Steps of the optimiser instead of --epochs (0: by epochs)."""
    batch: int = 64
    """Videos a step, over all processes and micro-batches."""
    accumulate: int = 1
    """Micro-batches that a step is split into, to save memory."""
    lr: float = 0.01
    """Highest learning rate, for the batch as given (it is not scaled)."""
    momentum: float = 0.9
    """Of SGD."""
    nesterov: bool = True
    """Nesterov's momentum."""
    weight_decay: float = 5e-4
    """On weights; not on biases and batch norms."""
    schedule: Literal["cosine", "steps", "constant"] = "cosine"
    """cosine: down to 0. steps: a tenth at each of --milestones."""
    milestones: tuple[float, ...] = ()
    """Parts of the whole training at which `steps` divides the rate by 10."""
    warmup: float = 0.05
    """Part of the whole training in which the rate rises from 0."""
    head_lr: float = 1.0
    """The classifier's rate as a multiple of the network's."""
    clip: float = 20.0
    """Greatest norm of the gradient (0: not clipped)."""
    smoothing: float = 0.1
    """Label smoothing."""
    ema: float = 0.0
    """Decay a step of the averaged weights that are validated and kept (0: none)."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """Mixed precision; auto: bf16 on a GPU that has it, off elsewhere."""
    channels_last: bool = True
    """Memory order that tensor cores like."""
    compile: bool = False
    """torch.compile: faster after some minutes of compiling."""
    patience: int = 0
    """Stop after so many validations without a better one (0: never)."""
    best: Literal["top1", "loss"] = "top1"
    """Which validation is the best one: that of the highest top-1 (then the lowest loss), or that
    of the lowest loss, which suits few videos and scores that are to be averaged."""
    validate_every: int = 1
    """Epochs between validations."""

    def __post_init__(self) -> None:
        if self.epochs < 1 and self.steps < 1:
            raise UserError(f"--epochs {self.epochs} must be at least 1")
        if self.batch < 1 or self.accumulate < 1 or self.validate_every < 1:
            raise UserError("--batch, --accumulate and --validate-every must be at least 1")
        if self.batch % self.accumulate:
            raise UserError(
                f"--batch {self.batch} does not divide by --accumulate {self.accumulate}"
            )
        if not self.lr > 0:
            raise UserError(f"--lr {self.lr} must be positive")
        if not 0 <= self.ema < 1 or not 0 <= self.smoothing < 1 or not 0 <= self.warmup < 1:
            raise UserError("--ema, --smoothing and --warmup must lie in [0, 1)")
        if self.nesterov and self.momentum == 0:
            raise UserError("--nesterov needs --momentum above 0")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a stream becomes, but the data and the seed."""

    input: Any
    """RGB, FlowStack or RGBDifference."""
    sampling: Sampling = field(default_factory=Sampling)
    crop: Crop = field(default_factory=Crop)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    optim: Optimisation = field(default_factory=Optimisation)

    def settings(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "input": settings_of(self.input),
            **{part: asdict(getattr(self, part)) for part in PARTS},
        }


PARTS = {"sampling": Sampling, "crop": Crop, "network": NetworkOptions, "optim": Optimisation}


def recipe_from(settings: dict[str, Any]) -> Recipe:
    """The recipe that `Recipe.settings` described."""
    made: Input = input_from(settings["input"])
    return Recipe(made, **{part: cls(**tuples(settings[part])) for part, cls in PARTS.items()})


def tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}


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
    made = RGB() if kind == "spatial" else RGBDifference()
    return Recipe(made, sampling, crop, NetworkOptions(dropout=0.9), optim)


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
    made: dict[str, Any] = {
        "spatial": RGB(),
        "temporal": FlowStack(length=10),
        "difference": RGBDifference(),
    }
    temporal = kind != "spatial"
    return Recipe(
        made[kind],
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
    made = replace(base.input, length=5) if kind == "temporal" else base.input
    return Recipe(
        made,
        Sampling(segments=1),
        Crop(size=64, scales=(1.0, 0.875, 0.75), flip=False),
        NetworkOptions(depth=18, weights="none", dropout=0.2),
        Optimisation(lr=0.02, epochs=24, batch=16, warmup=0.1, ema=0.97, best="loss"),
    )


RECIPES = {"2014": published_2014, "tsn": published_tsn, "modern": modern, "small": small}


def recipe(name: str, kind: str) -> Recipe:
    """A recipe by name, for one kind of stream."""
    if name not in RECIPES:
        raise UserError(f"--recipe {name!r} is not one of {', '.join(RECIPES)}")
    if kind not in KINDS:
        raise UserError(f"stream {kind!r} is not one of {', '.join(KINDS)}")
    return RECIPES[name](kind)
