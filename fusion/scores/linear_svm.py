"""Linear SVM on the streams' stacked scores, as in the two-stream paper of 2014."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.judge import group_names, indices
from fusion.judge import normalise as normalised
from fusion.scores.averaging import fused_table
from fusion.scores.fitting import fit_tables
from fusion.scores.grouped_svm import GRID, GroupedSVM
from storage.errors import UserError
from storage.scores import ScoreTable, join


@dataclass
class LinearSVMFusion:
    """One-against-rest linear SVM; C by cross-validation whose folds never cut a group.

    Its margins are divided by a temperature, found on the held-out folds, so that their softmax
    is a probability; the ranking is that of the margins.
    """

    normalise: str = "l2"
    grid: Sequence[float] = GRID
    seed: int = 0
    machine: GroupedSVM = field(init=False)

    def __post_init__(self) -> None:
        self.machine = GroupedSVM(self.grid, self.seed)

    @property
    def c(self) -> float | None:
        """The C that was chosen; None before `fit`."""
        return self.machine.c

    @property
    def cross_validated(self) -> dict[str, float]:
        """C -> accuracy on the held-out folds."""
        return self.machine.cross_validated

    @property
    def temperature(self) -> float:
        """What the margins are divided by."""
        return self.machine.temperature

    def fit(self, tables: Sequence[ScoreTable]) -> LinearSVMFusion:
        """Fit on joined tables, one a stream; which part they may be of is the caller's care."""
        group = indices(group_names(tables)[0])
        self.machine.fit(self._stack(tables), tables[0].labels, group)
        return self

    def fuse(self, tables: Sequence[ScoreTable], fit: dict[str, Any] | None = None) -> ScoreTable:
        """Scores of joined tables as a ScoreTable of logits; `fit` is noted in `made`."""
        if self.machine.known is None:
            raise UserError("the SVM is not fitted yet; call fit() with validation tables first")
        classes = tables[0].classes
        absent = [c for i, c in enumerate(classes) if i not in self.machine.known]
        scores = self.machine.margins(self._stack(tables), len(classes))
        fusion: dict[str, Any] = {
            "method": "svm",
            "normalise": self.normalise,
            "C": self.c,
            "temperature": self.temperature,
            "cross_validated": self.cross_validated,
            "seed": self.seed,
        }
        fusion |= {"classes_not_fitted": absent} if absent else {}
        fusion |= {"fit": fit} if fit else {}
        return fused_table(
            tables,
            scores / self.temperature,
            kind="logits",
            name=f"SVM ({self.normalise})",
            fusion=fusion,
        )

    def _stack(self, tables: Sequence[ScoreTable]) -> NDArray[np.float64]:
        return np.concatenate([normalised(table, self.normalise) for table in tables], axis=1)


def svm(
    tables: Sequence[ScoreTable],
    fit: Sequence[ScoreTable] | None = None,
    normalise: str = "l2",
    *,
    seed: int = 0,
    fit_on_test: bool = False,
    common_only: bool = False,
) -> ScoreTable:
    """Fuse with a linear SVM fitted on the tables `fit` (see `fit_tables`)."""
    fitted, fit_note = fit_tables(tables, fit, fit_on_test=fit_on_test, common_only=common_only)
    joined = join(tables, common_only=common_only)
    return LinearSVMFusion(normalise, seed=seed).fit(fitted).fuse(joined, fit_note)
