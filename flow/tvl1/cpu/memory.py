"""What compiled code is told of an arena: small named tuples of indices and numbers.

An index counts floats in the arena, one flat float32 array.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Image(NamedTuple):
    """One plane: row y begins at `place + y * pitch`."""

    place: int
    pitch: int
    height: int
    width: int


class Planes(NamedTuple):
    """The state of a level, ten planes a row (see `sweep`)."""

    origin: int
    """The first pixel of plane U in row 0."""
    pitch: int
    """Floats of one plane in a row."""
    height: int
    width: int
    mask: int
    """A vector of 1 for the lanes of a row's last vector that are inside the frame."""


class Weights(NamedTuple):
    """The numbers of an iteration."""

    reach: np.float32
    """lambda theta: the longest step of the data term over the gradient."""
    theta: np.float32
    taut: np.float32
    """tau / theta."""


class Rules(NamedTuple):
    """The parameters of TV-L1, as compiled code reads them."""

    weights: Weights
    epsilon: np.float32
    cubic: np.float32
    """The parameter of Keys' kernel."""
    growth: np.float32
    """The size of a level over that of the next coarser one."""
    warps: int
    outer: int
    inner: int
    median: int
    predicts: bool
    """The update is measured on odd iterations, where it is predicted to be small enough."""
    repeats: bool
    """Outside the frame the second frame repeats its edge; else it is 0."""


class Arena(NamedTuple):
    """Where everything lies for frames of one size, and the tables for resizing."""

    levels: NDArray[np.void]
    """One record of `layout.LEVEL` a level, the finest first."""
    frames: NDArray[np.int64]
    """(levels, 2): where the images of the two frames begin."""
    low: NDArray[np.int64]
    fraction: NDArray[np.float32]
    """Taps of all resizings: the lower pixel, and the share of the next one."""
    state: int
    quads: int
    coarse: int
    columns: int
    scratch: int
    errors: int
