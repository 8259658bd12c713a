"""What a network is given of a video at a moment, as everybody else asks for it.

An input reads bytes from the store (in a worker) and turns them into numbers (on the training
device). Everything that differs between modalities is in the inputs and nowhere else: datasets,
transforms, networks and training ask the input. Options are made of inputs, so these files leave
torch to those who compute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from storage.store import Store, StoreConfig, VideoMeta


class Input(Protocol):
    """One kind of input: T steps in time of `step_channels` each, C = T x step_channels in all;
    `P` counts its stored byte planes.

    Through decoding, cropping and mirroring the steps stay side by side as channels; a network
    that sees time as an axis of its own takes them apart at its door.
    """

    @property
    def kind(self) -> str:
        """rgb, difference or flow: the modality."""

    @property
    def step_channels(self) -> int:
        """Channels of one step in time."""

    @property
    def whole(self) -> bool:
        """The device needs the whole stored picture, not only the crop."""

    @property
    def relies_on(self) -> tuple[str, ...]:
        """What of a store's config must be the same where a trained network is used."""

    @property
    def steps(self) -> int:
        """T."""

    @property
    def channels(self) -> int:
        """C."""

    def check(self, config: StoreConfig) -> None:
        """Raise UserError when a store made so cannot serve it."""

    def moments(self, video: VideoMeta, config: StoreConfig) -> range:
        """The frames t of a video at which it can stand; empty where the video is too short."""

    def repeatable(self, video: VideoMeta) -> bool:
        """Whether a video that is too short has at least something that can be repeated."""

    def read(
        self, store: Store, video: VideoMeta, moment: int, config: StoreConfig
    ) -> NDArray[np.uint8]:
        """uint8 (P, H, W) at a moment; beyond the video's end the last frame or pair repeats."""

    def decode(self, planes: Tensor, table: Tensor) -> Tensor:
        """uint8 (N, P, H, W) -> float32 (N, C, H, W), before it is cropped and resized.

        `table` is float32 (256,): what the store's quantiser decodes a code to, in pixels.
        """

    def mirror(self, picture: Tensor) -> Tensor:
        """float (..., C, H, W) as a mirror shows it."""

    def normalise(self, picture: Tensor) -> Tensor:
        """float (..., C, H, W) in the network's range."""


def need_frames(config: StoreConfig) -> None:
    if config.frame_codec == "none":
        raise UserError(
            "the store holds no frames (it was extracted without them), and this stream needs "
            "frames: extract again with frames, or train the temporal stream"
        )
