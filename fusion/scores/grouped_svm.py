"""A one-against-rest linear SVM whose C is chosen by folds that never cut a group."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.judge import SMALLEST
from fusion.scores.class_folds import class_folds, groups_of_classes
from storage.errors import UserError

GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
FOLDS = 5


@dataclass
class GroupedSVM:
    """scikit-learn's LinearSVC.

    Its margins are to be divided by a temperature, found on the held-out folds, so that their
    softmax is a probability; the ranking is that of the margins.
    """

    grid: Sequence[float] = GRID
    seed: int = 0
    c: float | None = None
    """The C that was chosen; None before `fit`."""
    cross_validated: dict[str, float] = field(default_factory=dict)
    """C -> accuracy on the held-out folds."""
    temperature: float = 1.0
    held_out: NDArray[np.float64] | None = None
    """Margins (N, classes up to the last label) of the rows that it was fitted to, each by a
    machine that did not see its fold."""
    model: Any = None
    known: NDArray[np.int64] | None = None
    """Labels that it was fitted to."""

    def fit(
        self, x: NDArray[np.float64], labels: NDArray[np.int64], group: NDArray[np.int64]
    ) -> GroupedSVM:
        """Rows x (N, D), their labels (N,), and which of them are not independent, (N,)."""
        self.known = np.unique(labels)
        if len(self.known) < 2:
            raise UserError(
                "the tables to fit on hold a single class; an SVM needs videos of two or more"
            )
        folds = self._folds(labels, group)
        held = {c: self._held_out(c, x, labels, folds) for c in self.grid} if folds else {}
        accuracy = {c: float((m.argmax(1) == labels).mean()) for c, m in held.items()}
        # Of equally good ones the smallest C, the most regular; without folds, the usual 1.
        self.c = max(sorted(accuracy), key=accuracy.__getitem__) if accuracy else 1.0
        self.cross_validated = {f"{c:g}": a for c, a in accuracy.items()}
        if held:
            self.held_out = held[self.c]
            self.temperature = best_temperature(self.held_out, labels)
        self.model = self._machine(self.c, x, labels)
        return self

    def margins(self, x: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
        """(N, classes); a class that the fit did not know comes last for every row."""
        assert self.known is not None
        return full_margins(self.model, x, classes, self.known)

    def _folds(self, labels: NDArray[np.int64], group: NDArray[np.int64]) -> list[Any]:
        # A class of a single group is held out whole or not at all: folds would show nothing of C.
        folds = min(FOLDS, int(groups_of_classes(labels, group).max()))
        if folds < 2:
            return []
        held = class_folds(labels, group, folds, self.seed)
        split = [(np.setdiff1d(np.arange(len(labels)), rows), rows) for rows in held]
        return [(a, b) for a, b in split if len(b) and len(np.unique(labels[a])) > 1]

    def _held_out(
        self, c: float, x: NDArray[np.float64], labels: NDArray[np.int64], folds: list[Any]
    ) -> NDArray[np.float64]:
        classes = int(labels.max()) + 1
        margins = np.zeros((len(labels), classes))
        for train, held in folds:
            model = self._machine(c, x[train], labels[train])
            known = np.unique(labels[train])
            margins[held] = full_margins(model, x[held], classes, known)
        return margins

    def _machine(self, c: float, x: NDArray[np.float64], labels: NDArray[np.int64]) -> Any:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        with warnings.catch_warnings():
            # The margins of an SVM stopped early rank the classes as well; C = 100 often is.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return LinearSVC(C=c, random_state=self.seed, max_iter=3000).fit(x, labels)


def full_margins(
    model: Any, x: NDArray[np.float64], classes: int, known: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Margins (N, C); a class that the fit did not know comes last for every video."""
    margins = model.decision_function(x)
    if margins.ndim == 1:  # of two classes, scikit-learn gives the second one's only
        margins = np.stack([-margins, margins], axis=1)
    full = np.repeat(margins.min(axis=1, keepdims=True) - 1, classes, axis=1)
    full[:, known] = margins
    return full


def best_temperature(margins: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The T for which softmax(margins / T) has the smallest log loss."""
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        z = margins / np.exp(log_t)
        z = z - z.max(axis=1, keepdims=True)
        own = z[np.arange(len(labels)), labels] - np.log(np.exp(z).sum(axis=1))
        return float(-np.maximum(own, np.log(SMALLEST)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-5, 3), method="bounded").x))
