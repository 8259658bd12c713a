"""Some seconds of a video in memory, read as a store is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError
from storage.store.config import StoreConfig, VideoMeta


@dataclass(frozen=True)
class Window:
    """Frames `first` to `first + N` of a video, and the pairs that start in them.

    It has the reading half of `Store` for this one video, under the video's own frame numbers, so
    that whatever reads samples from a store reads them from here.
    """

    meta: StoreConfig
    about: VideoMeta
    """Of the video as far as it has been read: `frames` and `pairs` count from its beginning."""
    first: int
    rgb: NDArray[np.uint8]
    """(N, H, W, 3)."""
    flows: dict[str, NDArray[np.uint8]]
    """Field -> codes (M, 2, H, W). Pair 0 of them is pair `first` of the video."""

    def video(self, video: str) -> VideoMeta:
        """What is known of the video."""
        if video != self.about.video:
            raise UserError(f"{video!r} is not {self.about.video!r}, the only video here")
        return self.about

    def videos(self) -> list[str]:
        return [self.about.video]

    def read_flow(
        self, video: str, start: int, length: int, field: str = "forward"
    ) -> NDArray[np.uint8]:
        """Pairs `start` to `start + length`: uint8 (length, 2, H, W)."""
        if field not in self.flows:
            raise UserError(f"there is {', '.join(self.flows)} flow here, not {field!r}")
        at = start - self.first
        if at < 0 or at + length > len(self.flows[field]):
            raise UserError(f"pairs {start} to {start + length} of {video!r} are not in memory")
        return self.flows[field][at : at + length]

    def read_frames(self, video: str, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Frames by number: uint8 (N, H, W, 3), RGB."""
        at = np.asarray(indices, np.intp) - self.first
        if at.size and not (at.min() >= 0 and at.max() < len(self.rgb)):
            raise UserError(f"frames {list(indices)} of {video!r} are not in memory")
        return self.rgb[at]
