"""What a stream sees at a moment: a frame, a stack of flow, or differences of frames.

An input reads bytes from the store (in a worker) and turns them into numbers (on the training
device). Everything that differs between the streams is here and nowhere else: datasets,
transforms, networks and training ask the input. (Options are made of inputs, so this file leaves
torch to those who compute.)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError
from streams.inputs.stacks import STACKS, backward_pairs, forward_pairs

if TYPE_CHECKING:
    from torch import Tensor

    from storage.store import Store, StoreConfig, VideoMeta

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FLOW_UNIT = 9.04
"""Pixels that become 1. TSN divides codes of bound 20 by 57.6 (ImageNet's 0.226 x 255), which is
9.04 px, so networks that were trained on its inputs see here what they saw there."""


class Input(Protocol):
    """One kind of input. `C` counts its network channels, `P` its stored byte planes."""

    whole: bool
    """The device needs the whole stored picture, not only the crop."""
    relies_on: tuple[str, ...]
    """What of a store's config must be the same where a trained network is used."""

    @property
    def channels(self) -> int: ...

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


@dataclass(frozen=True)
class RGB:
    """One frame."""

    kind: ClassVar[str] = "rgb"
    whole: ClassVar[bool] = False
    relies_on: ClassVar[tuple[str, ...]] = ("size",)
    offset: int = 0
    """Frames after the moment at which the frame is taken."""

    @property
    def channels(self) -> int:
        return 3

    def check(self, config: StoreConfig) -> None:
        need_frames(config)

    def moments(self, video: VideoMeta, config: StoreConfig) -> range:
        return range(video.frames - self.offset)

    def repeatable(self, video: VideoMeta) -> bool:
        return video.frames > 0

    def read(
        self, store: Store, video: VideoMeta, moment: int, config: StoreConfig
    ) -> NDArray[np.uint8]:
        index = min(moment + self.offset, video.frames - 1)
        return store.read_frames(video.video, [index])[0].transpose(2, 0, 1)

    def decode(self, planes: Tensor, table: Tensor) -> Tensor:
        return planes.float().div_(255)

    def mirror(self, picture: Tensor) -> Tensor:
        return picture.flip(-1)

    def normalise(self, picture: Tensor) -> Tensor:
        mean, std = (picture.new_tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        return (picture - mean) / std


@dataclass(frozen=True)
class RGBDifference:
    """The differences of neighbouring frames: L differences from L + 1 frames."""

    kind: ClassVar[str] = "difference"
    whole: ClassVar[bool] = False
    relies_on: ClassVar[tuple[str, ...]] = ("size", "fps")
    length: int = 5
    """Differences in a stack (L)."""

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UserError(f"--length {self.length} must be at least 1")

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


@dataclass(frozen=True)
class FlowStack:
    """L flow fields in a row, as channels x1 y1 x2 y2 ..."""

    kind: ClassVar[str] = "flow"
    relies_on: ClassVar[tuple[str, ...]] = ("size", "fps", "step", "algorithm", "fingerprint")
    length: int = 10
    """Pairs in a stack (L)."""
    stride: int = 1
    """Pairs from one field of the stack to the next."""
    stack: Literal["forward", "bidirectional", "trajectory"] = "forward"
    """forward: fields t, t+1, ... bidirectional: half of them forward from t, half backward from
    t. trajectory: each field is read where the motion so far has carried the point (--stride must
    be the store's step)."""
    subtract_mean: bool = False
    """Take each field's own mean vector away, against camera motion."""
    field: Literal["flow", "warped"] = "flow"
    """flow, or flow after the camera's motion was taken out (`extract` must have stored it)."""
    unit: float = FLOW_UNIT
    """Pixels that become 1 at the network's input."""

    def __post_init__(self) -> None:
        if self.length < 1 or self.stride < 1:
            raise UserError(
                f"--length {self.length} and --stride {self.stride} must both be at least 1"
            )
        if self.stack not in STACKS:
            raise UserError(f"--stack {self.stack!r} is not one of {', '.join(STACKS)}")
        if self.stack == "bidirectional" and self.length % 2:
            raise UserError(f"--length {self.length} must be even for --stack bidirectional")
        if self.stack == "bidirectional" and self.field == "warped":
            raise UserError("--field warped is stored forward only; choose another --stack")
        if not self.unit > 0:
            raise UserError(f"--unit {self.unit} must be a positive number of pixels")

    @property
    def channels(self) -> int:
        return 2 * self.length

    @property
    def whole(self) -> bool:
        """A field's mean and a point's path are those of the whole picture."""
        return self.subtract_mean or self.stack == "trajectory"

    def reads(self, moment: int, step: int) -> list[tuple[str, int]]:
        """(stored field, pair) of each of the L entries at a moment, before any clamping."""
        name = "warped" if self.field == "warped" else "forward"
        if self.stack != "bidirectional":
            return [(name, i) for i in forward_pairs(moment, self.length, self.stride)]
        half = self.length // 2
        ahead = forward_pairs(moment, half, self.stride)
        behind = backward_pairs(moment, half, self.stride, step)
        return [("forward", i) for i in ahead] + [("backward", i) for i in behind]

    def check(self, config: StoreConfig) -> None:
        if not config.fields:
            raise UserError(
                "the store holds frames only, and the temporal stream needs flow: extract again "
                "with flow, or train the spatial stream"
            )
        wanted = sorted({name for name, _ in self.reads(0, config.step)})
        absent = [name for name in wanted if name not in config.fields]
        if absent:
            raise UserError(
                f"the store holds the flow fields {', '.join(config.fields)}; this input also "
                f"needs {', '.join(absent)}: extract again with them, or change --stack or --field"
            )
        if self.stack == "trajectory" and self.length > 1 and self.stride != config.step:
            raise UserError(
                f"--stack trajectory follows a point from field to field, so the next one must "
                f"start where the last one ends: the store's flow spans {config.step} frames, "
                f"give --stride {config.step}"
            )

    def moments(self, video: VideoMeta, config: StoreConfig) -> range:
        pairs = [pair for _, pair in self.reads(0, config.step)]
        return range(-min(pairs), video.pairs - max(pairs))

    def repeatable(self, video: VideoMeta) -> bool:
        return video.pairs > 0

    def read(
        self, store: Store, video: VideoMeta, moment: int, config: StoreConfig
    ) -> NDArray[np.uint8]:
        last = video.pairs - 1
        wanted = [(f, min(max(i, 0), last)) for f, i in self.reads(moment, config.step)]
        planes = np.empty((self.length, 2, video.height, video.width), np.uint8)
        done = 0
        while done < self.length:  # neighbouring pairs are read in one call
            name, first = wanted[done]
            run = 1
            while done + run < self.length and wanted[done + run] == (name, first + run):
                run += 1
            planes[done : done + run] = store.read_flow(video.video, first, run, field=name)
            done += run
        return planes.reshape(-1, video.height, video.width)

    def decode(self, planes: Tensor, table: Tensor) -> Tensor:
        from streams.inputs.lookup import looked_up

        flow = looked_up(planes, table)
        if self.stack == "trajectory":
            from streams.inputs.trajectory import along_trajectories

            flow = along_trajectories(flow)
        if self.subtract_mean:
            flow = flow - flow.mean(dim=(-2, -1), keepdim=True)
        return flow

    def mirror(self, picture: Tensor) -> Tensor:
        """Mirrored motion runs the other way in x.

        The sign is changed on decoded numbers, where negation is exact under every quantiser; on
        codes it is not always (truncate's 255 and centred's 0 have no opposite code).
        """
        flipped = picture.flip(-1)
        flipped[..., 0::2, :, :] *= -1
        return flipped

    def normalise(self, picture: Tensor) -> Tensor:
        return picture / self.unit


INPUTS: dict[str, Any] = {cls.kind: cls for cls in (RGB, RGBDifference, FlowStack)}


def input_from(settings: dict[str, Any]) -> Input:
    """The input that `settings_of` described."""
    values = dict(settings)
    made: Input = INPUTS[values.pop("kind")](**values)
    return made


def settings_of(made: Any) -> dict[str, Any]:
    """An input as JSON values."""
    return {"kind": made.kind, **asdict(made)}


def need_frames(config: StoreConfig) -> None:
    if config.frame_codec == "none":
        raise UserError(
            "the store holds no frames (it was extracted without them), and this stream needs "
            "frames: extract again with frames, or train the temporal stream"
        )
