"""Two flow methods of OpenCV's that trade TV-L1's accuracy for speed, and the engine for both."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import Pair, checked_frames, pairwise
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


open_queue = None


def compute(
    frames: NDArray[np.uint8], params: DIS | Farneback, threads: int = 1
) -> NDArray[np.float32]:
    """uint8 (N, H, W) -> float32 (N-1, 2, H, W), x then y, in pixels."""
    return pairwise(checked_frames(frames), params.pair, threads)


def status(params: DIS | Farneback | None = None) -> str:
    return "ok"


def version() -> str:
    import cv2

    return f"OpenCV {cv2.__version__}"


def devices() -> list[str]:
    return []
