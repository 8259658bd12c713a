"""Differences of neighbouring frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError
from streams.inputs.contract import need_frames
from streams.inputs.frames import IMAGENET_STD

if TYPE_CHECKING:
    from torch import Tensor

    from storage.store import Store, StoreConfig, VideoMeta


@dataclass(frozen=True)
class RGBDifference:
    """The differences of neighbouring frames: L differences from L + 1 frames."""

    kind: ClassVar[str] = "difference"
    step_channels: ClassVar[int] = 3
    whole: ClassVar[bool] = False
    relies_on: ClassVar[tuple[str, ...]] = ("size", "fps")
    length: int = 5
    """Differences in a stack (L)."""

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UserError(f"--length {self.length} must be at least 1")

    @property
    def steps(self) -> int:
        return self.length

    @property
    def channels(self) -> int:
        return 3 * self.length

    def check(self, config: StoreConfig) -> None:
        need_frames(config)

    def moments(self, video: VideoMeta, config: StoreConfig) -> range:
        return range(video.frames - self.length)

    def repeatable(self, video: VideoMeta) -> bool:
        return video.frames > 0

    def read(
        self, store: Store, video: VideoMeta, moment: int, config: StoreConfig
    ) -> NDArray[np.uint8]:
        wanted = [min(moment + i, video.frames - 1) for i in range(self.length + 1)]
        frames = store.read_frames(video.video, wanted).transpose(0, 3, 1, 2)
        return frames.reshape(-1, *frames.shape[2:])

    def decode(self, planes: Tensor, table: Tensor) -> Tensor:
        frames = planes.float().div_(255).unflatten(1, (self.length + 1, 3))
        return (frames[:, 1:] - frames[:, :-1]).flatten(1, 2)

    def mirror(self, picture: Tensor) -> Tensor:
        return picture.flip(-1)

    def normalise(self, picture: Tensor) -> Tensor:
        return picture / float(np.mean(IMAGENET_STD))
