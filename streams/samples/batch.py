"""Samples put together into a batch of bytes, so that the device can work on slices of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

from streams.samples.colours import NONE, Colour
from streams.samples.crops import Box


@dataclass(frozen=True)
class Sample:
    """One video's snippets, as stored."""

    video: str
    label: int
    planes: dict[str, list[NDArray[np.uint8]]]
    """Input -> K pictures, uint8 (P, h, w)."""
    boxes: dict[str, Box]
    """Input -> the crop within its pictures."""
    flip: bool
    view: Box
    """The crop within the stored picture: the same for all inputs."""
    colour: Colour = NONE
    """What is to be added to frames."""


@dataclass(frozen=True)
class Rows:
    """Rows first .. stop-1 of a batch: pictures and crops of one size, mirrored alike."""

    first: int
    stop: int
    height: int
    width: int
    flip: bool
    """Whether they are to be mirrored."""
    boxes: tuple[Box, ...]
    """One a row; they differ in place, not in size."""


@dataclass(frozen=True)
class Batch:
    """B samples, those that are worked on alike beside each other."""

    planes: dict[str, Tensor]
    """Input -> uint8 (B, K, P, H, W), smaller pictures in the upper left corner."""
    runs: dict[str, tuple[Rows, ...]]
    """Input -> which rows can be worked on together."""
    labels: Tensor
    """int64 (B,)."""
    videos: tuple[str, ...]
    colours: Tensor | None = None
    """float32 (B, 3): what is to be added to red, green and blue of frames, if anything."""

    def __len__(self) -> int:
        return len(self.videos)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(p.shape)}" for name, p in self.planes.items())
        return f"Batch({len(self)} samples: {shapes})"

    def pin_memory(self) -> Batch:
        """For the DataLoader, which calls it where the batch goes to a GPU."""
        return replace(
            self,
            planes={name: planes.pin_memory() for name, planes in self.planes.items()},
            labels=self.labels.pin_memory(),
            colours=None if self.colours is None else self.colours.pin_memory(),
        )

    def to(self, device: torch.device) -> Batch:
        return replace(
            self,
            planes={k: planes.to(device, non_blocking=True) for k, planes in self.planes.items()},
            labels=self.labels.to(device, non_blocking=True),
            colours=None if self.colours is None else self.colours.to(device, non_blocking=True),
        )


def kind_of(sample: Sample) -> tuple[int, ...]:
    """Samples that agree in this can be worked on together, in every input."""
    shapes = (picture[0].shape[-2:] for picture in sample.planes.values())
    sizes = (n for shape in shapes for n in shape)
    return (sample.view.height, sample.view.width, *sizes, sample.flip)


def collate(samples: Sequence[Sample]) -> Batch:
    """Sort by kind and copy each picture once, into shared memory when a worker does it."""
    ordered = sorted(samples, key=kind_of)
    planes, runs = {}, {}
    for name in ordered[0].planes:
        pictures = [sample.planes[name] for sample in ordered]
        height = max(rows[0].shape[1] for rows in pictures)
        width = max(rows[0].shape[2] for rows in pictures)
        shape = (len(ordered), len(pictures[0]), pictures[0][0].shape[0], height, width)
        filled = bytes_tensor(shape)
        target = filled.numpy()
        for row, snippets in enumerate(pictures):
            for k, picture in enumerate(snippets):
                target[row, k, :, : picture.shape[1], : picture.shape[2]] = picture
        planes[name] = filled
        runs[name] = tuple(runs_of(ordered, name))
    return Batch(
        planes,
        runs,
        torch.tensor([sample.label for sample in ordered]),
        tuple(sample.video for sample in ordered),
        torch.tensor([s.colour for s in ordered])
        if any(s.colour != NONE for s in ordered)
        else None,
    )


def runs_of(ordered: Sequence[Sample], name: str) -> list[Rows]:
    runs: list[Rows] = []
    first = 0
    for _, group in groupby(ordered, key=kind_of):
        members = list(group)
        height, width = members[0].planes[name][0].shape[-2:]
        boxes = tuple(sample.boxes[name] for sample in members)
        stop = first + len(members)
        runs.append(Rows(first, stop, height, width, members[0].flip, boxes))
        first += len(members)
    return runs


def bytes_tensor(shape: tuple[int, ...]) -> Tensor:
    """Uninitialised uint8; in a worker, in the memory that it shares with the training process."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    count = int(np.prod(shape))
    storage = torch.empty(0, dtype=torch.uint8).untyped_storage()._new_shared(count)
    return torch.empty(0, dtype=torch.uint8).set_(storage, 0, shape)  # type: ignore[call-overload]
