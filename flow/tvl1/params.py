"""What TV-L1 is asked to do: every parameter in one frozen value, with the two published sets."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from storage.errors import UserError

DIALECTS = ("opencv-cuda", "opencv-cpu")
MIN_SIDE = 16
"""The pyramid stops before a side falls under this, and smaller frames are refused."""


@dataclass(frozen=True)
class TVL1:
    """Dual TV-L1 optical flow (Zach, Pock and Bischof 2007), as OpenCV's two versions define it.

    `TVL1()` is the preset `opencv-cuda`, with which nearly all published flow was made;
    `TVL1.preset("opencv-cpu")` is `cv2.optflow.DualTVL1OpticalFlow`.
    """

    tau: float = 0.25
    """Time step of the dual ascent."""
    lambda_: float = 0.15
    """Weight of the data term: smaller gives smoother flow."""
    theta: float = 0.3
    """Tightness of the coupling between the data term and the smooth flow."""
    scales: int = 5
    """Most pyramid levels; fewer are used when a side would fall under 16 pixels."""
    scale_step: float = 0.8
    """Size of a level over that of the next finer one."""
    warps: int = 5
    """Linearisations of the second frame on every level."""
    epsilon: float = 0.01
    """Iterations stop when the root mean square of an update falls to this many pixels."""
    outer: int = 1
    """Median filterings a warp (where `median` is on)."""
    inner: int = 300
    """Most iterations after each median filtering."""
    median: int = 0
    """Side of the median filter on the flow: 0 for none, or 5."""
    dialect: str = "opencv-cuda"
    """Whose rules hold where the two versions differ.

    opencv-cpu   half-pixel centred resizing; bicubic warp with a = -0.75, zero outside the
                 frame; the update is measured on every iteration
    opencv-cuda  corner-aligned resizing; Catmull-Rom warp, edges repeated outside the frame; the
                 update is measured on odd iterations only, and only where it is predicted to be
                 small enough
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and (not isinstance(value, int) or isinstance(value, bool)):
                raise UserError(f"TV-L1 {field.name} is {value!r}; it must be a whole number")
            if field.type == "float" and not (
                isinstance(value, int | float) and math.isfinite(value)
            ):
                raise UserError(f"TV-L1 {field.name} is {value!r}; it must be a finite number")
        for name in ("tau", "lambda_", "theta"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "over 0")
        for name in ("scales", "warps", "outer", "inner"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _require(0 < self.scale_step < 1, "scale_step", self.scale_step, "between 0 and 1")
        _require(self.epsilon >= 0, "epsilon", self.epsilon, "0 or more")
        _require(self.median in (0, 5), "median", self.median, "0 (no filter) or 5")
        _require(self.dialect in DIALECTS, "dialect", self.dialect, f"one of {', '.join(DIALECTS)}")

    @classmethod
    def preset(cls, name: str) -> TVL1:
        """`opencv-cuda` or `opencv-cpu`, with that version's default parameters."""
        if name == "opencv-cuda":
            return cls()
        if name == "opencv-cpu":
            return cls(outer=10, inner=30, median=5, dialect="opencv-cpu")
        raise UserError(f"no TV-L1 preset {name!r}; choose one of {', '.join(DIALECTS)}")

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any parameter; equal ones give interchangeable flow."""
        return fingerprint_of("tvl1", asdict(self))

    def level_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(height, width) of every pyramid level, the finest first; sides round half to even."""
        sizes = [(height, width)]
        while len(sizes) < self.scales:
            height, width = round(height * self.scale_step), round(width * self.scale_step)
            if min(height, width) < MIN_SIDE:
                break
            sizes.append((height, width))
        return sizes


def fingerprint_of(algorithm: str, parameters: Mapping[str, object]) -> str:
    """16 hex digits that change with the algorithm and with any of its parameters."""
    text = json.dumps({"algorithm": algorithm, **parameters}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _require(true: bool, name: str, value: object, allowed: str) -> None:
    if not true:
        raise UserError(f"TV-L1 {name} is {value!r}; it must be {allowed}")
