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
    for number, clip in enumerate(data.clips):
        sample = data[number]
        batch = collate([sample]).to(device)
        (run,) = batch.runs[kind]
        pictures = cropped(decoded(batch.planes[kind], run, input_, table), run, size)[0, 0]
        steps = pictures.unflatten(0, (-1, input_.step_channels))
        with torch.no_grad():
            x = net.snapshots(prepare(batch, kind, input_, table, size))
        yield Snapshot(
            clip.video, clip.label, moment_of(data, clip), input_.kind, x, steps.cpu().numpy()
        )


def moment_of(data: ClipDataset, clip: Clip) -> int:
    video = data.store.video(clip.video)
    there = shared_moments(data.inputs, video, data.store.meta)
    return data.testing_view(video, there).moments[0]
