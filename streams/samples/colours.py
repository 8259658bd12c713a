"""Colour jitter of training frames (Krizhevsky et al. 2012), as the spatial stream of 2014 has it.

A sample's frames are all shifted alike, by a random multiple of each principal colour of ImageNet
times its standard deviation. The numbers are those of AlexNet's successors, for colours in 0..1.
"""

from __future__ import annotations

import numpy as np

Colour = tuple[float, float, float]
NONE: Colour = (0.0, 0.0, 0.0)

VARIANCES = np.array([0.2175, 0.0188, 0.0045])
DIRECTIONS = np.array(
    [
        [-0.5675, 0.7192, 0.4009],
        [-0.5808, -0.0045, -0.8140],
        [-0.5836, -0.6948, 0.4203],
    ]
)
"""A column a principal colour; rows are red, green and blue."""


def colour_shift(deviation: float, rng: np.random.Generator) -> Colour:
    """What is added to red, green and blue."""
    red, green, blue = DIRECTIONS @ (VARIANCES * rng.normal(0, deviation, 3))
    return float(red), float(green), float(blue)
