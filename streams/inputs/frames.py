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

Span = Literal["imagenet", "kinetics", "symmetric", "caffe"]
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MOMENTS = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "kinetics": ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    # (128, 117, 104) of red, green, blue in 0 ... 255, by 1.
    "caffe": ((128 / 255, 117 / 255, 104 / 255), (1 / 255, 1 / 255, 1 / 255)),
}
"""What is taken away, and what that is divided by, of red, green and blue in 0 ... 1."""


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
    span: Span = field(default="imagenet", metadata=NEWER)
    """Numbers that the network is given. imagenet, kinetics: less that data set's mean, by its
    deviation (kinetics: as torchvision's video networks). symmetric: -1 to 1, as I3D and GoogLeNet.
    caffe: blue, green, red in 0 to 255, less a mean, as tsn-pytorch's BN-Inception."""

    def __post_init__(self) -> None:
        if self.length < 1 or self.stride < 1:
            raise UserError(
                f"--length {self.length} and --stride {self.stride} must both be at least 1"
            )
        if self.span not in MOMENTS:
            raise UserError(f"--span {self.span!r} is not one of {', '.join(MOMENTS)}")

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
        mean, deviation = (
            picture.new_tensor(values * self.length).view(-1, 1, 1) for values in MOMENTS[self.span]
        )
        ready = (picture - mean) / deviation
        if self.span == "caffe":
            return ready.unflatten(-3, (self.length, 3)).flip(-3).flatten(-4, -3)
        return ready
