"""Where a network over sequences looked: weights of its attention, on the steps of each video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from storage.catalog import Clip
from storage.errors import UserError
from streams.sequences.data import FeatureDataset, StoredClips
from streams.sequences.scoring import SequenceScorer


@dataclass(frozen=True)
class VideoWeights:
    """How much each step of one video counted."""

    video: str
    label: int
    """An index into the run's classes."""
    predicted: int
    confidence: float
    """Of the predicted class, from 0 to 1; the mean over the windows."""
    moments: NDArray[np.int32]
    """(T,): the frame at which each step of the (first) feature store stands."""
    weights: NDArray[np.float32]
    """Over steps, (T,): they sum to 1. Over places, (T, h, w): those of a step that was looked at
    sum to 1, a step that no window holds has zeros."""

    @property
    def over_places(self) -> bool:
        return self.weights.ndim == 3


def video_weights(
    scorer: SequenceScorer,
    source: StoredClips,
    part: str,
    *,
    windows: int = 10,
    rows: Sequence[int] | None = None,
) -> Iterator[VideoWeights]:
    """The attention of a run on the videos of a part (or some of them, by their row).

    A step that several windows hold, or that playing back and forth shows several times, has the
    mean of its weights over places; weights over steps are added up within a window, and averaged
    over the windows.
    """
    data = FeatureDataset(source, part, scorer.recipe.windows, count=windows)
    for row in range(len(data)) if rows is None else rows:
        sample = data[row]
        store = data.stores[0]
        steps = store.video(sample.video).steps
        chosen = scorer.recipe.windows.testing(steps, windows)
        seen = torch.from_numpy(sample.windows).to(scorer.device)
        x = scorer.net.standardised(seen)
        with torch.inference_mode():
            found = scorer.net.aggregator.weights(x)
            if found is None:
                raise UserError(
                    f"{scorer.run.path} is a run of {scorer.recipe.net.network}, which has no "
                    "attention to draw; temporal-attention, visual-attention and pooling have"
                )
            shares = scorer.net.aggregator(x).softmax(1).mean(0)
        predicted = int(shares.argmax())
        yield VideoWeights(
            video=sample.video,
            label=sample.label,
            predicted=predicted,
            confidence=float(shares[predicted]),
            moments=store.moments(sample.video),
            weights=on_steps(found.float().cpu().numpy(), chosen, steps),
        )


class ChosenClips(NamedTuple):
    """Some clips of feature stores, which no list names."""

    stores: tuple[Path, ...]
    parts: dict[str, list[Clip]]


def clip_weights(
    scorer: SequenceScorer, stores: Sequence[Path], clips: Sequence[Clip], *, windows: int = 10
) -> Iterator[VideoWeights]:
    """`video_weights` of clips whose labels are indices into the run's classes."""
    return video_weights(scorer, ChosenClips(tuple(stores), {"": list(clips)}), "", windows=windows)


def on_steps(
    weights: NDArray[np.float32], chosen: NDArray[np.int64], steps: int
) -> NDArray[np.float32]:
    """Weights (V, L, ...) of the steps `chosen` (V, L) of V windows -> (steps, ...)."""
    total = np.zeros((steps, *weights.shape[2:]))
    np.add.at(total, chosen.ravel(), weights.reshape(-1, *weights.shape[2:]))
    if weights.ndim == 2:
        return np.asarray(total / len(chosen), np.float32)
    times = np.bincount(chosen.ravel(), minlength=steps).reshape(steps, 1, 1)
    return np.asarray(total / np.maximum(times, 1), np.float32)
