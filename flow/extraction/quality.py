"""What quantising did to the flow: counted while it is extracted, added up over videos."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.codecs import Quantizer

ERROR_ROWS = 8
"""The error is measured on every eighth row: an eighth of the work, the same mean."""


@cache
def ends(quantizer: Quantizer) -> tuple[int, int]:
    """The codes of motion at either bound."""
    low, high = quantizer.quantize(np.array([-quantizer.bound, quantizer.bound]))
    return int(low), int(high)


@dataclass
class Quality:
    """Counts of flow values (two a pixel and pair), of all fields together."""

    values: int = 0
    clipped: int = 0
    """At either end of the quantiser's scale: motion that reached its bound."""
    zero: int = 0
    """Coded as no motion."""
    measured: int = 0
    """Values whose error was measured."""
    error: float = 0.0
    """Sum of their absolute errors, pixels."""

    def count(self, codes: NDArray[np.uint8], quantizer: Quantizer) -> None:
        """Take in uint8 codes of any shape."""
        low, high = ends(quantizer)
        self.values += codes.size
        # Three comparisons are a tenth of the price of a histogram.
        self.clipped += int(np.count_nonzero(codes == low) + np.count_nonzero(codes == high))
        self.zero += int(np.count_nonzero(codes == quantizer.zero))

    def compare(
        self, flow: NDArray[np.float32], codes: NDArray[np.uint8], quantizer: Quantizer
    ) -> None:
        """Take in what flow, (2, H, W) or (N, 2, H, W), became."""
        some, coded = flow[..., ::ERROR_ROWS, :], codes[..., ::ERROR_ROWS, :]
        difference = np.abs(some - quantizer.dequantize(coded))
        self.measured += some.size
        self.error += float(difference.sum(dtype=np.float64))

    def add(self, other: Quality) -> None:
        self.values += other.values
        self.clipped += other.clipped
        self.zero += other.zero
        self.measured += other.measured
        self.error += other.error

    def shares(self) -> dict[str, float]:
        """clipped and zero as shares of all values, and the mean absolute error in pixels."""
        return {
            "clipped_share": self.clipped / max(self.values, 1),
            "zero_share": self.zero / max(self.values, 1),
            "mean_abs_error_px": self.error / max(self.measured, 1),
        }

    def to_json(self) -> dict[str, Any]:
        return {**self.shares(), "values": self.values, "measured": self.measured}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Quality:
        """The counts behind stored shares."""
        values, measured = int(value.get("values", 0)), int(value.get("measured", 0))
        return cls(
            values=values,
            clipped=round(value.get("clipped_share", 0) * values),
            zero=round(value.get("zero_share", 0) * values),
            measured=measured,
            error=value.get("mean_abs_error_px", 0.0) * measured,
        )
