"""One frame, or a clip of frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError
from streams.inputs.contract import need_frames
from streams.settings import NEWER

if TYPE_CHECKING:
    from torch import Tensor

    from storage.store import Store, StoreConfig, VideoMeta

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class RGB:
    """One frame; with a length over 1 a clip of frames."""

    kind: ClassVar[str] = "rgb"
    step_channels: ClassVar[int] = 3
    whole: ClassVar[bool] = False
    relies_on: ClassVar[tuple[str, ...]] = ("size",)
    offset: int = 0
    """Frames after the moment at which the (first) frame is taken."""
    length: int = field(default=1, metadata=NEWER)
    """Frames of a clip (T); 1 is a single frame."""
    stride: int = field(default=1, metadata=NEWER)
    """Frames from one frame of a clip to the next."""
    span: Literal["imagenet", "symmetric"] = field(default="imagenet", metadata=NEWER)
    """Numbers that the network is given. imagenet: less ImageNet's mean, by its deviation.
    symmetric: -1 to 1, as I3D's weights expect."""

    def __post_init__(self) -> None:
        if self.length < 1 or self.stride < 1:
            raise UserError(
                f"--length {self.length} and --stride {self.stride} must both be at least 1"
            )

    @property
    def steps(self) -> int:
        return self.length

    @property
    def channels(self) -> int:
        return 3 * self.length

    def check(self, config: StoreConfig) -> None:
        need_frames(config)

    def moments(self, video: VideoMeta, config: StoreConfig) -> range:
        return range(video.frames - self.offset - (self.length - 1) * self.stride)

    def repeatable(self, video: VideoMeta) -> bool:
        return video.frames > 0

    def read(
        self, store: Store, video: VideoMeta, moment: int, config: StoreConfig
    ) -> NDArray[np.uint8]:
        first, last = moment + self.offset, video.frames - 1
        indices = [min(first + i * self.stride, last) for i in range(self.length)]
        frames = store.read_frames(video.video, indices).transpose(0, 3, 1, 2)
        return frames.reshape(-1, *frames.shape[2:])

    def decode(self, planes: Tensor, table: Tensor) -> Tensor:
        return planes.float().div_(255)

    def mirror(self, picture: Tensor) -> Tensor:
        return picture.flip(-1)

    def normalise(self, picture: Tensor) -> Tensor:
        if self.span == "symmetric":
            return picture * 2 - 1
        mean, std = (
            picture.new_tensor(values * self.length).view(-1, 1, 1)
            for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
        return (picture - mean) / std
