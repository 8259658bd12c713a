"""The networks over sequences by name: who builds them, and which options they take."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from storage.errors import UserError
from streams.networks import settings_from

if TYPE_CHECKING:
    from streams.aggregators import Aggregator

SequenceName = Literal[
    "lstm",
    "gru",
    "deep-lstm",
    "conv-pooling",
    "actionvlad",
    "temporal-attention",
    "visual-attention",
    "lrcn",
    "convnet-lstm",
    "mean",
    "max",
    "learned",
]


@dataclass(frozen=True)
class SequenceEntry:
    """One network over sequences."""

    build: str
    """Name in `streams.aggregators`, of what takes (D, classes, **settings)."""
    takes: tuple[str, ...]
    """Fields of `SequenceNetwork` that are settings of it."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What makes it this network, of several that are built alike."""
    told: tuple[str, ...] = ()
    """Which of places, frames and widths it must be told."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Values of `SequenceNetwork` that it was published with."""
    maps: Literal["no", "yes", "both"] = "no"
    """Whether a step is a vector (no: of a map its mean over places), a map (yes), or either."""


RECURRENT = ("hidden", "layers", "norm", "dropout", "prediction", "loss", "truncation")
PLAIN = {"standardise": False}

SEQUENCES: dict[str, SequenceEntry] = {
    "lstm": SequenceEntry("Recurrent", RECURRENT, {"cell": "lstm"}),
    "gru": SequenceEntry("Recurrent", RECURRENT, {"cell": "gru"}),
    "deep-lstm": SequenceEntry(
        "deep_lstm",
        ("hidden", "layers", "dropout", "prediction", "truncation"),
        defaults={"layers": 5, "prediction": "gain"},
    ),
    "conv-pooling": SequenceEntry(
        "ConvPooling",
        ("hidden", "dropout"),
        told=("places", "frames"),
        defaults={"hidden": 4096, **PLAIN},
        maps="both",
    ),
    "actionvlad": SequenceEntry(
        "ActionVLAD", ("dropout",), told=("widths",), defaults=PLAIN, maps="both"
    ),
    "temporal-attention": SequenceEntry("TemporalAttention", ("hidden", "dropout")),
    "visual-attention": SequenceEntry(
        "VisualAttention",
        ("hidden", "layers", "dropout", "prediction", "loss", "truncation"),
        told=("places",),
        defaults={"prediction": "mean", "loss": "mean", **PLAIN},
        maps="yes",
    ),
    "lrcn": SequenceEntry(
        "Recurrent",
        RECURRENT,
        {"cell": "lstm"},
        defaults={"hidden": 256, "prediction": "mean", "loss": "mean"},
    ),
    "convnet-lstm": SequenceEntry(
        "Recurrent",
        RECURRENT,
        {"cell": "lstm"},
        defaults={"norm": "batch", "dropout": 0.0, "prediction": "last", "loss": "mean"},
    ),
    "mean": SequenceEntry("Pooling", ("dropout",), {"rule": "average"}),
    "max": SequenceEntry("Pooling", ("dropout",), {"rule": "max"}, defaults=PLAIN),
    "learned": SequenceEntry("Pooling", ("dropout",), {"rule": "learned"}),
}


@dataclass(frozen=True)
class SequenceNetwork:
    """What is learned on the features."""

    network: SequenceName = "lstm"
    """lstm, gru, deep-lstm (five layers, linear gain), conv-pooling (its variants by --extra
    variant=late ...), actionvlad, temporal-attention, visual-attention (maps); lrcn and
    convnet-lstm, what stands behind their frame networks (`train spatial` has them from pixels);
    or mean, max and learned pooling."""
    hidden: int = 512
    """Width of the recurrent or hidden layers."""
    layers: int = 1
    """Recurrent layers."""
    norm: Literal["none", "batch"] = "none"
    """Batch norm behind each recurrent layer."""
    dropout: float = 0.5
    """Share that is dropped behind each layer."""
    prediction: Literal["last", "mean", "rising", "gain", "max"] = "rising"
    """How the steps' probabilities become one: the last one, their mean, a mean that rises to the
    end, one that rises from 0, or their maximum."""
    loss: Literal["last", "mean", "rising", "gain"] = "rising"
    """How much each step counts in the loss."""
    truncation: int = 0
    """Steps of truncated back-propagation: gradients go no further back than the last multiple
    (0: to the beginning)."""
    standardise: bool = True
    """Take the mean of the training part away from each feature, and divide by its deviation."""
    extra: tuple[str, ...] = ()
    """Settings of the network's own, NAME=VALUE: variant=slow, clusters=32, glimpses=2 ..."""

    def __post_init__(self) -> None:
        if self.network not in SEQUENCES:
            raise UserError(f"--network {self.network!r} is not one of {', '.join(SEQUENCES)}")
        if not 0 <= self.dropout < 1:
            raise UserError(f"--dropout {self.dropout} must lie in [0, 1)")
        settings_from(self.extra)

    def check_meant(self, usual: SequenceNetwork) -> None:
        """Raise UserError for an option that the network does not take, if it is not `usual`."""
        own = {"network", "standardise", "extra", *SEQUENCES[self.network].takes}
        for option in fields(self):
            name = option.name
            if name not in own and getattr(self, name) != getattr(usual, name):
                raise UserError(f"--{name} has no meaning for --network {self.network}")

    def pools(self, shape: tuple[int, ...]) -> bool:
        """Whether steps of `shape` are maps whose mean over places is what it learns on."""
        return len(shape) == 3 and SEQUENCES[self.network].maps == "no"

    def build(
        self, shape: tuple[int, ...], classes: int, *, frames: int, widths: list[int]
    ) -> Aggregator:
        """The network with random weights, for steps of `shape` and sequences of `frames`."""
        entry = SEQUENCES[self.network]
        if entry.maps == "yes" and len(shape) != 3:
            raise UserError(
                f"--network {self.network} takes maps (D, h, w), and a step of the features is "
                f"{shape}; write features --at another part of the network"
            )
        told = {"places": shape[1:] or (1, 1), "frames": frames or 120, "widths": widths}
        settings = {name: getattr(self, name) for name in entry.takes}
        settings |= entry.settings | {name: told[name] for name in entry.told}
        own = settings_from(self.extra)
        for name in own:
            if name in settings:
                raise UserError(
                    f"--extra {name}={own[name]}: {name} of --network {self.network} is decided by "
                    "its name, its own options or the features"
                )
        builder = getattr(import_module("streams.aggregators"), entry.build)
        try:
            net: Aggregator = builder(shape[0], classes, **settings | own)
        except TypeError as error:
            if "unexpected keyword" not in str(error):
                raise
            text = str(error).split("()")[-1].strip()
            raise UserError(
                f"--extra {' '.join(self.extra)}: --network {self.network} {text}"
            ) from None
        return net
