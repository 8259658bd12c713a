"""Greedy choice of an ensemble from many systems, on scores that none of it is judged on.

Caruana et al., "Ensemble selection from libraries of models" (ICML 2004): begin with the best
system, and add, again and again, the one whose addition to the average helps most; one may be
added several times, which is its weight. Two things differ: there is no bagging, and the number of
members is the one that is best on folds of whole groups that the choice did not see, since on the
videos it was chosen on an ensemble only seems to gain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.judge import group_names, indices, kind_after
from fusion.judge import normalise as normalised
from fusion.scores.averaging import fused_table
from fusion.scores.fitting import fit_tables
from storage.scores import ScoreTable, join, table_name

MOST = 16
FOLDS = 5

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class EnsemblePath:
    """Members in the order in which they were chosen."""

    members: tuple[int, ...]
    """Which table comes first, second, ..."""
    fitted: tuple[float, ...]
    """Accuracy of the first, the first two, ... on the videos that they were chosen on."""
    held: tuple[float, ...]
    """On the folds that a choice of so many members did not see; empty with one group alone."""
    length: int
    """How many members are best on those folds; the fewest of equals."""

    @property
    def chosen(self) -> dict[int, int]:
        """Table -> how often it is a member, in the order of their coming."""
        return dict(Counter(self.members[: self.length]))


def greedy(
    tables: Sequence[ScoreTable],
    fit: Sequence[ScoreTable] | None = None,
    normalise: str = "softmax",
    *,
    fit_on_test: bool = False,
    common_only: bool = False,
) -> ScoreTable:
    """Fuse by the average of an ensemble that is chosen on the tables `fit` (see `fit_tables`)."""
    fitted, fit_note = fit_tables(tables, fit, fit_on_test=fit_on_test, common_only=common_only)
    joined = join(tables, common_only=common_only)
    return greedy_table(joined, ensemble_path(fitted, normalise), normalise, fit_note)


def greedy_table(
    joined: Sequence[ScoreTable], path: EnsemblePath, normalise: str, fit_note: dict[str, Any]
) -> ScoreTable:
    """The average of a path's ensemble; streams that were not chosen are no part of it."""
    shares = {member: count / path.length for member, count in path.chosen.items()}
    scores = sum(share * normalised(joined[member], normalise) for member, share in shares.items())
    names = [table_name(table, i) for i, table in enumerate(joined)]
    return fused_table(
        [joined[member] for member in shares],
        scores,
        kind=kind_after(normalise),
        name=f"greedy ({normalise})",
        fusion={
            "method": "greedy",
            "normalise": normalise,
            "weights": [round(share, 6) for share in shares.values()],
            "chosen_from": names,
            "fit": fit_note | {"top1": path.fitted[path.length - 1]},
        },
    )


def ensemble_path(fitted: Sequence[ScoreTable], normalise: str, most: int = MOST) -> EnsemblePath:
    """Choose among joined tables, one a system, at most `most` members."""
    labels = fitted[0].labels
    scores = [normalised(table, normalise).astype(np.float32) for table in fitted]
    library = Library(scores, labels)
    members, accuracies = library.choose(np.arange(len(labels)), most)
    folds = group_folds(indices(group_names(fitted)[0]))
    held = np.zeros(most)
    for fold in folds:
        chosen, _ = library.choose(np.flatnonzero(~fold), most)
        held += [library.right(chosen[: k + 1])[fold].sum() / len(labels) for k in range(most)]
    length = int(np.argmax(held if folds else accuracies)) + 1
    return EnsemblePath(
        tuple(members), tuple(accuracies), tuple(held.tolist()) if folds else (), length
    )


def group_folds(group: NDArray[np.int64], folds: int = FOLDS) -> list[NDArray[np.bool_]]:
    """Masks (N,) of up to five parts of about equal size that never cut a group; none with one."""
    from sklearn.model_selection import GroupKFold

    number = min(folds, len(np.unique(group)))
    if number < 2:
        return []
    masks = []
    for _, test in GroupKFold(number).split(group, groups=group):
        mask = np.zeros(len(group), bool)
        mask[test] = True
        masks.append(mask)
    return masks


class Library:
    """Systems to choose from. What an ensemble has right is kept, since folds try the same ones."""

    def __init__(self, scores: Sequence[Scores], labels: NDArray[np.int64]) -> None:
        self.scores, self.labels = scores, labels
        self._known: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        self._own = [s[np.arange(len(labels)), labels] for s in scores]

    def choose(self, rows: NDArray[np.int64], most: int) -> tuple[list[int], list[float]]:
        """Members, and the accuracy after each, looking at these videos only. Of additions that
        give equally many right, the one that gives the true classes the highest mean score."""
        surety = [float(own[rows].mean(dtype=np.float64)) for own in self._own]
        members: list[int] = []
        accuracies = []
        for _ in range(most):
            total = sum(self.scores[m] for m in members)
            worth = [
                (float(self.right([*members, k], total)[rows].mean()), surety[k], -k)
                for k in range(len(self.scores))
            ]
            accuracy, _, chosen = max(worth)
            members.append(-chosen)
            accuracies.append(accuracy)
        return members, accuracies

    def right(self, members: Sequence[int], total: Scores | int | None = None) -> NDArray[np.bool_]:
        """(N,): which videos the sum of these has right; `total` is the sum of all but the last."""
        key = tuple(sorted(members))
        if key not in self._known:
            before = sum(self.scores[m] for m in members[:-1]) if total is None else total
            self._known[key] = (before + self.scores[members[-1]]).argmax(axis=1) == self.labels
        return self._known[key]
