"""What quantising and coding did to the flow: counted in extraction, added up over videos."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.codecs import MOVING, Codec, Quantizer

ERROR_ROWS = 8
"""The error is measured on every eighth row: an eighth of the work, the same mean."""
LOSS_PAIRS = 16
"""One pair in so many is decoded again, to see what its coding lost."""


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
    """Sum of their absolute errors by quantising alone, pixels."""
    decoded: int = 0
    """Pixels of pairs that were decoded again."""
    loss: float = 0.0
    """Sum of their end-point errors, quantiser and codec together, pixels."""
    moving: int = 0
    """Of these pixels: the ones that move."""
    moving_loss: float = 0.0

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

    def decode(
        self, flow: NDArray[np.float32], data: bytes, codec: Codec, quantizer: Quantizer
    ) -> None:
        """Take in what one pair of flow, (2, H, W), is after all, coded as `data`."""
        codes = np.empty(flow.shape, np.uint8)
        codec.decode(data, codes)
        x, y = quantizer.dequantize(codes) - flow
        error, moves = np.hypot(x, y), np.hypot(flow[0], flow[1]) > MOVING
        self.decoded += error.size
        self.loss += float(error.sum(dtype=np.float64))
        self.moving += int(np.count_nonzero(moves))
        self.moving_loss += float(error[moves].sum(dtype=np.float64))

    def add(self, other: Quality) -> None:
        for count in fields(self):
            setattr(self, count.name, getattr(self, count.name) + getattr(other, count.name))

    def shares(self) -> dict[str, float]:
        """clipped and zero as shares of all values, and what was lost, in pixels."""
        return {
            "clipped_share": self.clipped / max(self.values, 1),
            "zero_share": self.zero / max(self.values, 1),
            "mean_abs_error_px": self.error / max(self.measured, 1),
            "loss_px": self.loss / max(self.decoded, 1),
            "moving_loss_px": self.moving_loss / max(self.moving, 1),
        }

    def to_json(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("values", "measured", "decoded", "moving")}
        return {**self.shares(), **counts}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Quality:
        """The counts behind stored shares."""
        values, measured = int(value.get("values", 0)), int(value.get("measured", 0))
        decoded, moving = int(value.get("decoded", 0)), int(value.get("moving", 0))
        return cls(
            values=values,
            clipped=round(value.get("clipped_share", 0) * values),
            zero=round(value.get("zero_share", 0) * values),
            measured=measured,
            error=value.get("mean_abs_error_px", 0.0) * measured,
            decoded=decoded,
            loss=value.get("loss_px", 0.0) * decoded,
            moving=moving,
            moving_loss=value.get("moving_loss_px", 0.0) * moving,
        )
