"""Folds of whole groups, over which the classes are spread evenly."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray


def groups_of_classes(labels: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """(C,): how many groups each class has; labels and groups are (N,)."""
    return np.bincount(np.unique(np.stack([labels, group]), axis=1)[0])


def class_folds(
    labels: NDArray[np.int64], group: NDArray[np.int64], folds: int, seed: int
) -> list[NDArray[np.int64]]:
    """Rows (n,) of each fold; a group (N,) is never cut."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer videos than folds is common in a small validation part.
        warnings.simplefilter("ignore", UserWarning)
        return [held for _, held in splitter.split(labels, labels, group)]
