"""Pooled features as a picture: each video a point, near to those that the network finds alike."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError
from storage.scores import ScoreTable

METHODS = ("tsne", "pca", "none")
MOST = 800
"""Videos in a map; more are thinned out evenly within each class."""


@dataclass(frozen=True)
class FeatureMap:
    """Where some of a table's videos lie in the plane."""

    stream: str
    method: str
    rows: NDArray[np.int64]
    """(M,): which videos of the table."""
    place: NDArray[np.float32]
    """(M, 2), in 0..1."""
    explained: float | None = None
    """Share of the variance that two principal components hold; None for t-SNE."""


def feature_map(
    table: ScoreTable, method: str = "tsne", seed: int = 0, most: int = MOST
) -> FeatureMap | None:
    """Lay out the features of a table; None where it has none, or fewer than 3 videos."""
    if method not in METHODS:
        raise UserError(f"map {method!r} is not one of {', '.join(METHODS)}")
    if table.features is None or method == "none" or len(table.videos) < 3:
        return None
    rows = thinned(table.labels, most, seed)
    x = table.features[rows].astype(np.float64)
    x -= x.mean(axis=0)
    # Principal components first: t-SNE's distances are as good in 50 dimensions, and 40 x faster.
    u, size, _ = np.linalg.svd(x, full_matrices=False)
    if not size[0] > 0:
        return None  # all features are equal
    if method == "pca" or len(rows) < 10:
        flat = (u * size)[:, :2]
        if flat.shape[1] < 2:
            flat = np.pad(flat, ((0, 0), (0, 1)))
        explained = float((size[:2] ** 2).sum() / (size**2).sum())
        return FeatureMap(table.stream, "pca", rows, _in_unit(flat), explained)
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    near = min(30.0, (len(rows) - 1) / 3)
    tsne = TSNE(perplexity=near, init="pca", max_iter=500, random_state=seed)
    # Its threads wait in a busy loop: where others are at work, two are 50 x slower than one.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", FutureWarning)
        flat = tsne.fit_transform((u * size)[:, :50] / size[0])
    return FeatureMap(table.stream, "tsne", rows, _in_unit(flat))


def thinned(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """At most `most` rows, in order, with every class thinned out alike."""
    if len(labels) <= most:
        return np.arange(len(labels))
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    kept = np.linspace(0, len(labels) - 1, most).round().astype(int)
    return np.sort(by_class[kept])


def _in_unit(flat: NDArray[np.floating]) -> NDArray[np.float32]:
    low, high = flat.min(axis=0), flat.max(axis=0)
    middle, reach = (low + high) / 2, max(float((high - low).max()), 1e-12)
    return ((flat - middle) / reach + 0.5).astype(np.float32)
