"""What the store knows of every video that its accuracy may depend on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from storage.store import Store, VideoMeta


def _quality(key: str) -> Callable[[VideoMeta], float]:
    return lambda meta: float(meta.quality.get(key, np.nan))


FACTS: dict[tuple[str, str], Callable[[VideoMeta], float]] = {
    ("Length", "s"): lambda m: (m.frames or m.pairs) / m.fps if m.fps > 0 else np.nan,
    ("Motion", "share of the flow that is not 0"): lambda m: 1 - _quality("zero_share")(m),
    ("Clipped flow", "share of the flow"): _quality("clipped_share"),
    ("Error of the flow's codes", "px"): _quality("mean_abs_error_px"),
}
"""Name and unit -> the value of a video; NaN where the store does not say."""


def video_facts(store: Store, videos: Sequence[str]) -> dict[tuple[str, str], NDArray[np.float64]]:
    """(N,) values for each of FACTS; NaN for videos that the store does not hold."""
    row = {video: i for i, video in enumerate(videos)}
    values = {fact: np.full(len(videos), np.nan) for fact in FACTS}
    for meta in store.metas():
        at = row.get(meta.video)
        if at is not None:
            for fact, of in FACTS.items():
                values[fact][at] = of(meta)
    return values
