"""A quantiser as 255 thresholds, so that a GPU gives the very codes that NumPy gives."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from storage.quantize import Quantizer


@lru_cache(maxsize=32)
def code_thresholds(quantizer: Quantizer) -> NDArray[np.float32]:
    """float32 (255,), ascending: code c is given to all flow from threshold c - 1 on.

    Found by bisection over all floats, with the quantiser itself as the judge; a code that is
    never given has NaN, which no flow reaches.
    """
    codes = np.arange(1, 256)

    def given(place: NDArray[np.int64]) -> NDArray[np.bool_]:
        with np.errstate(over="ignore"):
            return quantizer.quantize(_float_at(place)) >= codes

    low = np.full(255, _place_of(-np.inf) - 1)  # below all floats: nothing is given there
    high = np.full(255, _place_of(np.inf))
    never = ~given(high)
    while (high - low).max() > 1:
        middle = (low + high) // 2
        reached = given(np.maximum(middle, _place_of(-np.inf)))
        high = np.where(reached, middle, high)
        low = np.where(reached, low, middle)
    thresholds = _float_at(np.maximum(high, _place_of(-np.inf)))
    thresholds[never] = np.nan
    thresholds.flags.writeable = False
    return thresholds


def _place_of(value: float) -> int:
    """The rank of a float32 among all of them; that of 0 is 0."""
    bits = int(np.float32(value).view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def _float_at(place: NDArray[np.int64]) -> NDArray[np.float32]:
    """The float32 of each rank."""
    bits = np.where(place >= 0, place, -place | 0x80000000).astype(np.uint32)
    return bits.view(np.float32)
