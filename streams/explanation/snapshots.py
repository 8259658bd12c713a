"""Single moments of videos, as a network is given them and as a person can look at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.catalog import Clip
from streams.networks import StreamNet
from streams.samples import (
    ClipDataset,
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


def read_snapshots(
    store: Path, clips: Sequence[Clip], kind: str, recipe: Recipe, net: StreamNet
) -> Iterator[Snapshot]:
    """One of each clip; on the device of the network."""
    device = next(net.parameters()).device
    input_, size = recipe.input, recipe.crop.size
    data = ClipDataset(
        store, clips, {kind: input_}, sampling=Sampling(), crop=recipe.crop, snapshots=1
    )
    table = quantiser_table(data.store.meta).to(device)
    for clip in data.clips:
        video, config = data.store.video(clip.video), data.store.meta
        view = data.testing_view(video, shared_moments(data.inputs, video, config))
        batch = collate([data.sample(clip, video, view)]).to(device)
        (run,) = batch.runs[kind]
        pictures = cropped(decoded(batch.planes[kind], run, input_, table), run, size)[0, 0]
        steps = pictures.unflatten(0, (-1, input_.step_channels))
        with torch.no_grad():
            x = net.snapshots(prepare(batch, kind, input_, table, size))
        frame = None
        if input_.kind != "rgb" and video.frames:
            top, left, height, width = view.box
            at = min(view.moments[0], video.frames - 1)
            whole = data.store.read_frames(clip.video, [at])[0]
            frame = whole[top : top + height, left : left + width]
        yield Snapshot(
            clip.video,
            clip.label,
            view.moments[0],
            input_.kind,
            x,
            steps.cpu().numpy(),
            frame,
        )
