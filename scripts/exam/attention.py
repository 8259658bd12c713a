"""Where temporal attention looks, beside where the needle is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.exam.sitting import LENGTH, Sitting

SHOWN = 4
"""Videos that are drawn."""


@dataclass(frozen=True)
class Look:
    """The weights of one video."""

    video: str
    moments: tuple[int, ...]
    """First pair of each snapshot."""
    weights: tuple[float, ...]
    needle: tuple[int, int]
    """Pairs from, to (not included)."""
    pairs: int


@dataclass(frozen=True)
class Attention:
    """How much of the weight lies on the needle."""

    on_needle: float
    """Mean over the test videos."""
    uniform: float
    """The same, if all snapshots weighed alike."""
    videos: int
    looks: tuple[Look, ...]


def share_on_needle(
    weights: NDArray[np.floating], moments: NDArray[np.integer], needle: tuple[int, int]
) -> tuple[float, float]:
    """Of one video: the weight of the snapshots that overlap the needle, and their share."""
    on = (moments < needle[1]) & (moments + LENGTH > needle[0])
    return float(weights[on].sum() / weights.sum()), float(on.mean())


def read_attention(sitting: Sitting, run: Path, features: Path) -> Attention:
    """The weights of a trained run of temporal attention on the test part of `needle`."""
    import torch

    from storage.features import open_features
    from streams.scoring import Run
    from streams.sequences import SequenceScorer

    scorer = SequenceScorer(Run.open(run), torch.device("cpu"))
    truth = json.loads((sitting.lists / "truth.json").read_text("utf-8"))
    listed = (sitting.lists / "testlist01.txt").read_text("utf-8").split()
    shares, looks = [], []
    with open_features(features) as store, torch.inference_mode():
        for name in listed:
            video = name.removesuffix(".avi")
            x = scorer.net.standardised(
                torch.from_numpy(store.read(video).astype(np.float32))[None]
            )
            found = scorer.net.aggregator.weights(x)
            if found is None:
                raise ValueError(f"{run} has no weights over time")
            weights = found[0].double().numpy()
            moments = np.asarray(store.moments(video))
            needle = (int(truth[video]["needle"][0]), int(truth[video]["needle"][1]))
            shares.append(share_on_needle(weights, moments, needle))
            pairs = int(moments.max()) + LENGTH
            looks.append(
                Look(video, tuple(moments.tolist()), tuple(weights.tolist()), needle, pairs)
            )
    chosen = [looks[i * len(looks) // SHOWN] for i in range(min(SHOWN, len(looks)))]
    on, uniform = np.array(shares).mean(0)
    return Attention(float(on), float(uniform), len(looks), tuple(chosen))
