"""A quantiser as 255 numbers, for kernels: exact for every rule, and nothing but comparisons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.codecs.quantize import Quantizer


def code_thresholds(quantizer: Quantizer) -> NDArray[np.float32]:
    """float32 (255,), ascending: the code of v is how many of them are at most v.

    Each is the least float32 that gets its code, found by bisection over all of them, so that
    counting gives the very bytes that `quantizer.quantize` gives.
    """
    codes = np.arange(1, 256)
    low = np.full(255, _rank(np.float32(-np.inf)))
    high = np.full(255, _rank(np.float32(np.inf)))
    while (low < high).any():
        middle = (low + high) // 2
        with np.errstate(over="ignore"):  # the largest floats, over a small bound
            enough = quantizer.quantize(_float(middle)) >= codes
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle + 1)
    return _float(high)


def _rank(value: np.float32) -> int:
    """The place of a float32 among all of them in ascending order."""
    bits = int(np.asarray(value, np.float32).view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF) - 1


def _float(ranks: NDArray[np.int64]) -> NDArray[np.float32]:
    """The float32 at those places."""
    bits = np.where(ranks >= 0, ranks, (-(ranks + 1)) | 0x80000000)
    return bits.astype(np.uint32).view(np.float32)
