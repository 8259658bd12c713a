"""Single moments of videos, as a network is given them and as a person can look at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.catalog import Clip
from streams.inputs import AnyInput
from streams.networks import StreamNet
from streams.samples import (
    ClipDataset,
    Crop,
    Sampling,
    collate,
    cropped,
    decoded,
    prepare,
    quantiser_table,
    shared_moments,
)
from streams.training import Recipe


@dataclass(frozen=True)
class Snapshot:
    """The middle of a video, in the crop of testing."""

    video: str
    label: int
    moment: int
    """The frame at which it stands."""
    kind: str
    """rgb, flow or difference."""
    x: Tensor
    """What the network takes: float32 (1, C, S, S), or (1, c, T, S, S) of a network for clips."""
    pictures: NDArray[np.float32]
    """(T, c, S, S): frames in 0..1, flow in pixels, or differences of frames in -1..1."""
    frame: NDArray[np.uint8] | None = None
    """(h, w, 3): what is to be seen there, where the input is no frame and the store has them."""


@dataclass(frozen=True)
class Looked:
    """What some inputs hold at the testing moments of a video, in the crop of testing."""

    video: str
    label: int
    moments: tuple[int, ...]
    x: dict[str, Tensor]
    """Input -> float32 (1, K, C, S, S), as `prepare` gives it."""
    pictures: dict[str, NDArray[np.float32]]
    """Input -> (K, T, c, S, S), as `Snapshot.pictures`."""
    frame: NDArray[np.uint8] | None
    """(h, w, 3): the frame at the first moment, where no input is frames and the store has them."""


def read_inputs(
    store: Path,
    clips: Sequence[Clip],
    inputs: Mapping[str, AnyInput],
    crop: Crop,
    device: torch.device,
    sampling: Sampling | None = None,
    snapshots: int = 1,
) -> Iterator[Looked]:
    """Of each clip, all inputs at the same moments; its middle, if it is one."""
    given, size = sampling or Sampling(), crop.size
    data = ClipDataset(store, clips, inputs, sampling=given, crop=crop, snapshots=snapshots)
    table = quantiser_table(data.store.meta).to(device)
    for clip in data.clips:
        video, config = data.store.video(clip.video), data.store.meta
        view = data.testing_view(video, shared_moments(data.inputs, video, config))
        batch = collate([data.sample(clip, video, view)]).to(device)
        x, pictures = {}, {}
        for name, input_ in inputs.items():
            (run,) = batch.runs[name]
            seen = cropped(decoded(batch.planes[name], run, input_, table), run, size)[0]
            pictures[name] = seen.unflatten(1, (-1, input_.step_channels)).cpu().numpy()
            x[name] = prepare(batch, name, input_, table, size)
        frame = None
        if video.frames and not any(input_.kind == "rgb" for input_ in inputs.values()):
            top, left, height, width = view.box
            at = min(view.moments[0], video.frames - 1)
            whole = data.store.read_frames(clip.video, [at])[0]
            frame = whole[top : top + height, left : left + width]
        yield Looked(clip.video, clip.label, view.moments, x, pictures, frame)


def read_snapshots(
    store: Path, clips: Sequence[Clip], kind: str, recipe: Recipe, net: StreamNet
) -> Iterator[Snapshot]:
    """One of each clip; on the device of the network."""
    device = next(net.parameters()).device
    for look in read_inputs(store, clips, {kind: recipe.input}, recipe.crop, device):
        with torch.no_grad():
            x = net.snapshots(look.x[kind])
        yield Snapshot(
            look.video,
            look.label,
            look.moments[0],
            recipe.input.kind,
            x,
            look.pictures[kind][0],
            look.frame,
        )
