"""Samples as bytes: what the workers read from the store, before anything is computed.

A sample may hold several inputs (a frame and a flow stack, say): all are read at the same moments
and cropped and mirrored alike, since moments, box and mirroring are drawn once a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from storage.catalog import Clip
from storage.store import Store, StoreConfig, VideoMeta, open_store
from streams.inputs import FlowStack, Input
from streams.samples.batch import Batch, Sample, collate
from streams.samples.colours import NONE, Colour, colour_shift
from streams.samples.crops import Box, Crop, centre_box, training_box
from streams.samples.sampling import (
    COLOURS,
    CROPS,
    FLIPS,
    SNIPPETS,
    Draw,
    Sampling,
    random_numbers,
    testing_dense,
    testing_moments,
    training_moments,
)

READINGS = 10
"""How often a clip is read at the least: in as many epochs, or from as many moments."""


@dataclass(frozen=True)
class View:
    """Where one sample looks: the same for all its inputs."""

    moments: tuple[int, ...]
    box: Box
    flip: bool
    colour: Colour = NONE
    """What is added to the frames' red, green and blue."""


class ClipDataset(Dataset[Sample]):
    """Samples of some clips of one store.

    Indexed by a `Draw` it gives a random training sample, a pure function of (seed, position);
    indexed by an integer, the testing sample of that clip: `snapshots` moments evenly spread, the
    central crop (or, with `whole`, the whole picture), never mirrored.
    """

    def __init__(
        self,
        store: str | Path | Store,
        clips: Sequence[Clip],
        inputs: Mapping[str, Input],
        *,
        sampling: Sampling,
        crop: Crop,
        seed: int = 0,
        snapshots: int = 3,
        whole: bool = False,
    ) -> None:
        self._given = store if isinstance(store, Store) else None
        self.path = Path(store.folder if isinstance(store, Store) else store)
        self.clips = list(clips)
        self.inputs = dict(inputs)
        self.sampling, self.crop, self.seed = sampling, crop, seed
        self.snapshots, self.whole = snapshots, whole
        self._store: Store | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_store": None}  # each process opens the store for itself

    def over(self, store: Store, clip: Clip) -> ClipDataset:
        """The same of one clip, read from `store`, or from what is read as a store is."""
        other = copy(self)
        other.clips, other._store = [clip], store
        return other

    @property
    def store(self) -> Store:
        if self._store is None:
            self._store = open_store(self.path) if self._given is None else self._given
        return self._store

    @property
    def labels(self) -> list[int]:
        return [clip.label for clip in self.clips]

    def prepare(self) -> None:
        """Have what makes reading quick, before processes are forked that will read."""
        pairs = sum(i.length for i in self.inputs.values() if isinstance(i, FlowStack))
        if pairs and self.clips:
            self.store.prepare(self.clips[0].video, READINGS * len(self.clips) * pairs)

    def training_view(self, draw: Draw, video: VideoMeta, moments: range) -> View:
        """Moments, box, mirroring and colour, each from a random stream of its own."""
        streams = (
            random_numbers(self.seed, use, draw.position) for use in (SNIPPETS, CROPS, FLIPS)
        )
        snippets, crops, flips = streams
        chosen = training_moments(len(moments), self.sampling, snippets)
        box = training_box(video.height, video.width, self.crop, crops)
        flip = self.crop.flip and bool(flips.random() < 0.5)
        colour = NONE
        if self.crop.jitter:
            drawn = random_numbers(self.seed, COLOURS, draw.position)
            colour = colour_shift(self.crop.jitter, drawn)
        return View(tuple(moments[i] for i in chosen), box, flip, colour)

    def testing_view(self, video: VideoMeta, moments: range) -> View:
        if self.sampling.snippets == "dense":
            chosen = testing_dense(len(moments), self.snapshots, self.sampling)
        else:
            chosen = testing_moments(len(moments), self.snapshots)
        box = (
            Box(0, 0, video.height, video.width)
            if self.whole
            else centre_box(video.height, video.width, self.crop.test_share)
        )
        return View(tuple(moments[i] for i in chosen), box, False)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Samples to a batch."""
        return collate(samples)

    def __getitem__(self, which: Draw | int) -> Sample:
        clip = self.clips[which.clip if isinstance(which, Draw) else which]
        video, config = self.store.video(clip.video), self.store.meta
        moments = shared_moments(self.inputs, video, config)
        if isinstance(which, Draw):
            view = self.training_view(which, video, moments)
        else:
            view = self.testing_view(video, moments)
        return self.sample(clip, video, view)

    def sample(self, clip: Clip, video: VideoMeta, view: View) -> Sample:
        """What a view shows, as stored."""
        config = self.store.meta
        planes, boxes = {}, {}
        for name, input_ in self.inputs.items():
            planes[name], boxes[name] = self.read(input_, video, config, view)
        return Sample(clip.video, clip.label, planes, boxes, view.flip, view.box, view.colour)

    def read(
        self, input_: Input, video: VideoMeta, config: StoreConfig, view: View
    ) -> tuple[list[NDArray[np.uint8]], Box]:
        """K pictures of (P, h, w), and where in them the box is."""
        pictures = [input_.read(self.store, video, moment, config) for moment in view.moments]
        if input_.whole:
            return pictures, view.box
        top, left, height, width = view.box
        cut = [p[:, top : top + height, left : left + width] for p in pictures]
        return cut, Box(0, 0, height, width)


def shared_moments(inputs: Mapping[str, Input], video: VideoMeta, config: StoreConfig) -> range:
    """The frames at which every input can stand; the first one alone where there is none.

    A video that is too short for a stack is not left out: its last pair (or frame) repeats.
    """
    ranges = [input_.moments(video, config) for input_ in inputs.values()]
    first, stop = max(r.start for r in ranges), min(r.stop for r in ranges)
    if stop > first:
        return range(first, stop)
    # A stack to both sides of a moment: at least the nearest pairs are those of the frame there.
    only = max(0, min(first, video.pairs - 1))
    return range(only, only + 1)


def quantiser_table(config: StoreConfig) -> torch.Tensor:
    """float32 (256,): pixels of each stored code."""
    return torch.from_numpy(config.quantizer.table.copy())
