"""Samples of features: windows of videos, read from feature stores by the workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from storage.catalog import Clip
from storage.features import FeatureStore, open_features
from streams.aggregators import matching_steps
from streams.samples import Draw, Sampling, random_numbers
from streams.sequences.window_options import Windows

WINDOW = 0
"""What the random stream of a sample is for, as in `streams.samples.sampling`: its moments."""


@dataclass(frozen=True)
class FeatureSample:
    """Windows of one video."""

    video: str
    label: int
    windows: NDArray
    """(V, T, D) or (V, T, D, h, w), as stored."""


@dataclass(frozen=True)
class FeatureBatch:
    """B samples; row by row their windows, one behind the other."""

    features: Tensor
    """(rows, T, D) or (rows, T, D, h, w), as stored; zeros behind a row's end."""
    lengths: Tensor
    """int64 (rows,): valid steps."""
    labels: Tensor
    """int64 (B,)."""
    windows: tuple[int, ...]
    """(B,): how many rows each sample has."""
    videos: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.videos)

    def pin_memory(self) -> FeatureBatch:
        """For the DataLoader, which calls it where the batch goes to a GPU."""
        return replace(
            self,
            features=self.features.pin_memory(),
            lengths=self.lengths.pin_memory(),
            labels=self.labels.pin_memory(),
        )

    def to(self, device: torch.device) -> FeatureBatch:
        return replace(
            self,
            features=self.features.to(device, non_blocking=True),
            lengths=self.lengths.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
        )


class StoredClips(Protocol):
    """The clips of each part, and the feature stores that hold them: a `FeatureSource`, or less."""

    @property
    def stores(self) -> tuple[Path, ...]: ...

    @property
    def parts(self) -> dict[str, list[Clip]]: ...


class FeatureDataset(Dataset[FeatureSample]):
    """Indexed by a `Draw` it gives a random training window, a pure function of (seed, position);
    indexed by an integer, the testing windows of that clip."""

    sampling = Sampling()

    def __init__(
        self, source: StoredClips, part: str, windows: Windows, *, seed: int = 0, count: int = 1
    ) -> None:
        """`count`: testing windows a video."""
        self.paths, self.clips = source.stores, source.parts[part]
        self.windows, self.seed, self.count = windows, seed, count
        self._stores: list[FeatureStore] = []

    def __len__(self) -> int:
        return len(self.clips)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_stores": []}  # each process opens the stores for itself

    @property
    def labels(self) -> list[int]:
        return [clip.label for clip in self.clips]

    @property
    def stores(self) -> list[FeatureStore]:
        if not self._stores:
            self._stores = [open_features(path) for path in self.paths]
        return self._stores

    def __getitem__(self, which: Draw | int) -> FeatureSample:
        clip = self.clips[which.clip if isinstance(which, Draw) else which]
        steps = self.stores[0].video(clip.video).steps
        if isinstance(which, Draw):
            rng = random_numbers(self.seed, WINDOW, which.position)
            chosen = self.windows.training(steps, rng)[None]
        else:
            chosen = self.windows.testing(steps, self.count)
        return FeatureSample(clip.video, clip.label, self.read(clip.video, chosen, steps))

    def read(self, video: str, chosen: NDArray[np.int64], steps: int) -> NDArray:
        """Windows (V, T) of steps of the first store -> (V, T, sum of D, ...)."""
        needed, back = np.unique(chosen, return_inverse=True)
        columns = []
        for store in self.stores:
            own = matching_steps(needed, steps, store.video(video).steps)
            columns.append(store.read(video, own))
        return np.concatenate(columns, 1)[back.reshape(chosen.shape)]

    def collate(self, samples: Sequence[FeatureSample]) -> FeatureBatch:
        """Samples to a batch."""
        longest = max(sample.windows.shape[1] for sample in samples)
        counts = tuple(len(sample.windows) for sample in samples)
        first = samples[0].windows
        rows = np.zeros((sum(counts), longest, *first.shape[2:]), first.dtype)
        lengths = np.empty(len(rows), np.int64)
        at = 0
        for sample, count in zip(samples, counts, strict=True):
            length = sample.windows.shape[1]
            rows[at : at + count, :length] = sample.windows
            lengths[at : at + count] = length
            at += count
        return FeatureBatch(
            torch.from_numpy(rows),
            torch.from_numpy(lengths),
            torch.tensor([sample.label for sample in samples]),
            counts,
            tuple(sample.video for sample in samples),
        )
