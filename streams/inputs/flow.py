"""Flow fields in a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError
from streams.inputs.stacks import STACKS, backward_pairs, forward_pairs
from streams.settings import FLOW_UNIT

if TYPE_CHECKING:
    from torch import Tensor

    from storage.store import Store, StoreConfig, VideoMeta


@dataclass(frozen=True)
class FlowStack:
    """L flow fields in a row, as channels x1 y1 x2 y2 ..."""

    kind: ClassVar[str] = "flow"
    step_channels: ClassVar[int] = 2
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
    def steps(self) -> int:
        return self.length

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
            part = store.read_flow(video.video, first, run, field=name)
            if run == self.length:  # as usual: nothing is to be put together
                return part.reshape(-1, video.height, video.width)
            planes[done : done + run] = part
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
