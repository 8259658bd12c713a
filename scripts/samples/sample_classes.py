"""The classes of the sample data: an appearance x a motion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Motion:
    """One of a pair: the other one is the same played backwards."""

    name: str
    direction: int
    """1, or -1 for the one that is played backwards."""
    step: tuple[int, int] = (0, 0)
    """The way of direction 1, x and y."""
    turn: int = 0
    zoom: int = 0
    mirrored: str = ""
    """The motion that its mirror image shows, where that is another one."""


@dataclass(frozen=True)
class Appearance:
    """A colour and the pattern in which it lies on a grey of the same brightness."""

    name: str
    hue: float
    """Radians in the plane of Cb and Cr."""
    pattern: Callable[[Floats], Floats]
    """From a random field (deviation 1) to the share of the colour, 0 to 1."""


def clouds(field: Floats) -> Floats:
    return np.clip(0.5 + 0.4 * field, 0, 1)


def veins(field: Floats) -> Floats:
    return np.exp(-((field / 0.45) ** 2))


def patches(field: Floats) -> Floats:
    return np.clip(0.5 + 6 * field, 0, 1)


def spots(field: Floats) -> Floats:
    return np.clip(0.5 + 6 * (field - 0.6), 0, 1)


# The first four look the same in a mirror, so that a recipe that flips its training pictures
# without swapping the classes learns them all the same.
MOTIONS = (
    Motion("Up", 1, step=(0, -1)),
    Motion("Down", -1, step=(0, -1)),
    Motion("ZoomIn", 1, zoom=1),
    Motion("ZoomOut", -1, zoom=1),
    Motion("Left", 1, step=(-1, 0), mirrored="Right"),
    Motion("Right", -1, step=(-1, 0), mirrored="Left"),
    Motion("Clockwise", 1, turn=1, mirrored="Counterclockwise"),
    Motion("Counterclockwise", -1, turn=1, mirrored="Clockwise"),
)

APPEARANCES = tuple(
    Appearance(name, float(np.deg2rad(degrees)), pattern)
    for name, degrees, pattern in (
        ("AmberVeins", 135, veins),
        ("VioletClouds", 45, clouds),
        ("GreenPatches", 225, patches),
        ("AzureSpots", 315, spots),
        ("RoseSpots", 90, spots),
        ("TealVeins", 270, veins),
        ("BlueClouds", 0, clouds),
        ("GoldPatches", 180, patches),
    )
)


def class_name(appearance: Appearance, motion: Motion) -> str:
    return appearance.name + motion.name
