"""The flow algorithms on offer: TV-L1, and two of OpenCV's that trade its accuracy for speed.

    algorithm("dis", preset="fast").compute(frames)

An algorithm is a name and a frozen value of parameters. Its fingerprint goes into the store, so
that flow of one kind is never mistaken for flow of another.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import TVL1, Pair, checked_frames, compute_flow, pairwise
from storage.errors import UserError


@dataclass(frozen=True)
class DIS:
    """Dense inverse search (Kroeger and others 2016): 10 to 100 times TV-L1's speed."""

    preset: str = "medium"
    """ultrafast, fast or medium."""

    PRESETS = ("ultrafast", "fast", "medium")

    def __post_init__(self) -> None:
        if self.preset not in self.PRESETS:
            raise UserError(
                f"DIS preset {self.preset!r} is not known; choose one of {', '.join(self.PRESETS)}"
            )

    def pair(self) -> Pair:
        """A function from two frames to flow (H, W, 2); it is for one thread."""
        import cv2

        method = cv2.DISOpticalFlow.create(
            getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{self.preset.upper()}")
        )
        return lambda first, second: method.calc(first, second, None)


@dataclass(frozen=True)
class Farneback:
    """Polynomial expansion (Farneback 2003)."""

    pyr_scale: float = 0.5
    levels: int = 5
    winsize: int = 15
    iterations: int = 3
    poly_n: int = 5
    poly_sigma: float = 1.1

    def __post_init__(self) -> None:
        checks = (
            ("pyr_scale", 0 < self.pyr_scale < 1, "between 0 and 1"),
            ("levels", self.levels >= 1, "at least 1"),
            ("winsize", self.winsize >= 3, "at least 3"),
            ("iterations", self.iterations >= 1, "at least 1"),
            ("poly_n", self.poly_n in (5, 7), "5 or 7"),
            ("poly_sigma", self.poly_sigma > 0, "over 0"),
        )
        for name, fine, allowed in checks:
            if not fine:
                raise UserError(
                    f"Farneback {name} is {getattr(self, name)!r}; it must be {allowed}"
                )

    def pair(self) -> Pair:
        """A function from two frames to flow (H, W, 2)."""
        import cv2

        options = asdict(self)
        return lambda first, second: cv2.calcOpticalFlowFarneback(
            first, second, None, **options, flags=0
        )


ALGORITHMS: dict[str, type[TVL1 | DIS | Farneback]] = {
    "tvl1": TVL1,
    "dis": DIS,
    "farneback": Farneback,
}


@dataclass(frozen=True)
class Algorithm:
    """What `--flow` chooses."""

    name: str
    params: TVL1 | DIS | Farneback

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters as JSON values."""
        return asdict(self.params)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with the algorithm and any parameter."""
        if isinstance(self.params, TVL1):
            return self.params.fingerprint
        text = json.dumps({"algorithm": self.name, **self.parameters}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def compute(
        self, frames: NDArray[np.uint8], engine: str = "auto", threads: int = 1
    ) -> NDArray[np.float32]:
        """Flow between each frame and the next: uint8 (N, H, W) -> float32 (N-1, 2, H, W).

        `engine` is for TV-L1; the others are OpenCV's on the CPU.
        """
        if isinstance(self.params, TVL1):
            return compute_flow(frames, self.params, engine, threads)
        if engine not in ("auto", "opencv"):
            raise UserError(f"{self.name} has one engine, opencv; {engine!r} does TV-L1 only")
        return pairwise(checked_frames(frames), self.params.pair, threads)


def algorithm(name: str, params: TVL1 | None = None, **parameters: Any) -> Algorithm:
    """The algorithm of that name; `params` for TV-L1 as a value, or any by their names."""
    if name not in ALGORITHMS:
        raise UserError(f"no flow {name!r}; choose one of {', '.join(ALGORITHMS)}")
    kind = ALGORITHMS[name]
    if params is not None:
        if not isinstance(params, kind):
            raise UserError(f"{name} takes {kind.__name__} parameters, not {params!r}")
        return Algorithm(name, params)
    known = [field.name for field in fields(kind)]
    for given in parameters:
        if given not in known:
            raise UserError(f"{name} has no parameter {given!r}; it has {', '.join(known)}")
    return Algorithm(name, kind(**parameters))
