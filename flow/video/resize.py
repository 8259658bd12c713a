"""The size that frames are brought to before the flow is computed, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError

SMALLEST, LARGEST = 16, 8192
"""Sides that flow can be computed on and that JPEG can hold, with room on both ends."""


@dataclass(frozen=True)
class Resize:
    """Exactly one of the two, or neither: then frames keep the source's size.

    Enlarging and shrinking by less than 2 is bilinear with half-pixel centres (cv2.INTER_LINEAR,
    as denseflow does); from 2 on pixels are averaged (cv2.INTER_AREA), which does not alias.
    """

    short_side: int | None = None
    """The shorter side gets this length, the other keeps the proportions (halves round up)."""
    size: tuple[int, int] | None = None
    """(width, height), whatever the proportions."""

    def __post_init__(self) -> None:
        if self.short_side is not None and self.size is not None:
            raise UserError("give --short-side or --size, not both")
        for side in self.size or ((self.short_side,) if self.short_side is not None else ()):
            if not SMALLEST <= side <= LARGEST:
                given = "{}x{}".format(*self.size) if self.size else f"short side {side}"
                raise UserError(f"{given}: sides of {SMALLEST} to {LARGEST} px are allowed")

    @classmethod
    def parse(cls, text: str) -> Resize:
        """The inverse of `str`: "source", "short-side 256" or "340x256"."""
        if text == "source":
            return cls()
        if match := re.fullmatch(r"short-side (\d+)", text):
            return cls(short_side=int(match[1]))
        if match := re.fullmatch(r"(\d+)[xX](\d+)", text.strip()):
            return cls(size=(int(match[1]), int(match[2])))
        raise UserError(f"size {text!r} is not WIDTHxHEIGHT, for example 340x256")

    def __str__(self) -> str:
        if self.size is not None:
            return f"{self.size[0]}x{self.size[1]}"
        return "source" if self.short_side is None else f"short-side {self.short_side}"

    def target(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of a source frame -> (height, width) of a stored one."""
        if self.size is not None:
            return self.size[1], self.size[0]
        if self.short_side is None:
            return height, width
        short, long = sorted((height, width))
        longer = min((2 * long * self.short_side + short) // (2 * short), LARGEST)
        return (self.short_side, longer) if height <= width else (longer, self.short_side)

    def apply(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) -> (h, w, 3)."""
        import cv2

        source = (rgb.shape[0], rgb.shape[1])
        target = self.target(*source)
        if target == source:
            return rgb
        shrink = max(was / becomes for was, becomes in zip(source, target, strict=True))
        how = cv2.INTER_AREA if shrink >= 2 else cv2.INTER_LINEAR
        resized: NDArray[np.uint8] = cv2.resize(rgb, target[::-1], interpolation=how)
        return resized


def to_grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) -> (H, W): BT.601 weights 0.299 R + 0.587 G + 0.114 B, as cv2.cvtColor rounds.

    It comes after the resizing, as in the tools that the published flow was made with.
    """
    import cv2

    grey: NDArray[np.uint8] = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return grey
