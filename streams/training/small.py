"""The recipe `small`, network by network: what it looks at, and with what settings.

So it learns the sample data on two cores in minutes: docs/systems.md has what was measured, and
which networks were. Of the others the values are those of their kin.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True)
class Small:
    """How one network becomes small."""

    size: int = 64
    """Side of the input, pixels."""
    frames: int = 0
    """Steps in time (0: as published)."""
    lr: float = 0.02
    """Without batch norm a network bears less than others."""
    settings: dict[str, str | int | float] = field(default_factory=dict)
    """Settings of the network's own."""
    epochs: int = 24
    """Some need longer to see time."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """Many layers without batch norm do not get far by SGD in so few steps."""


KARPATHY = Small(settings={"norm": "batch", "grid": 2, "width": 0.25})

SMALL: dict[str, Small] = {
    "vgg16": Small(32, lr=0.005),
    "vgg16-bn": Small(32),
    "vgg-m": Small(lr=0.005),
    "caffenet": Small(lr=0.005),
    "lrcn-caffenet": Small(96, lr=0.005, settings={"width": 0.25}),
    **{f"karpathy-{kind}": KARPATHY for kind in ("single", "late", "early", "slow")},
    "karpathy-early": replace(KARPATHY, epochs=72),
    "c3d": Small(32, 16, 1e-3, {"width": 0.25}, epochs=48, optimiser="adamw"),
    "3d-convnet": Small(32, 16, settings={"width": 0.25}),
    "fstcn": Small(56, 8, 0.005),
    "i3d": Small(frames=8),
    "i3d-resnet50": Small(frames=8),
    "r3d18": Small(32, 8),
    "mc3-18": Small(32, 8),
    "r2plus1d-18": Small(32, 8),
    "s3d": Small(frames=8),
    "densenet3d-121": Small(frames=8),
    "t3d121": Small(32, 8),
    "lrcn": Small(96, 8, 0.005, {"width": 0.25, "frame_dropout": 0.2}),
    "convnet-lstm": Small(32, 8),
    "motionnet": Small(frames=6, lr=2e-3, settings={"width": 0.25, "scales": 3}),
    "hidden-two-stream": Small(
        frames=6, settings={"temporal": "resnet18", "width": 0.25, "scales": 3}
    ),
}


def small_of(network: str) -> Small:
    """Of a network that is not named here, 64 pixels and nothing else."""
    return SMALL.get(network, Small())
