"""A one-against-rest linear SVM whose C is chosen by folds that never cut a group."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.judge import SMALLEST
from fusion.scores.class_folds import class_folds, groups_of_classes
from storage.errors import UserError

Rows = NDArray[np.float64]
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
    held_out: Rows | None = None
    """Margins (N, classes up to the last label) of the rows that it was fitted to, each by a
    machine that did not see its fold."""
    model: Any = None
    known: NDArray[np.int64] | None = None
    """Labels that it was fitted to."""
    _on_machine: Callable[[], object] = field(default=lambda: None, repr=False, compare=False)

    def fit(
        self,
        x: Rows,
        labels: NDArray[np.int64],
        group: NDArray[np.int64],
        on_machine: Callable[[int], object] = lambda total: None,
    ) -> GroupedSVM:
        """Rows x (N, D), their labels (N,), and which of them are not independent, (N,).

        `on_machine(total)` is called after each of the machines that are learned.
        """
        self.known = np.unique(labels)
        if len(self.known) < 2:
            raise UserError(
                "the tables to fit on hold a single class; an SVM needs videos of two or more"
            )
        folds = self._folds(labels, group)
        self._on_machine = partial(on_machine, len(folds) * len(self.grid) + 1)
        rows, back = on_few_axes(x) if x.shape[1] > x.shape[0] else (x, None)
        held = {c: self._held_out(c, rows, labels, folds) for c in self.grid} if folds else {}
        accuracy = {c: float((m.argmax(1) == labels).mean()) for c, m in held.items()}
        # Of equally good ones the smallest C, the most regular; without folds, the usual 1.
        self.c = max(sorted(accuracy), key=accuracy.__getitem__) if accuracy else 1.0
        self.cross_validated = {f"{c:g}": a for c, a in accuracy.items()}
        if held:
            self.held_out = held[self.c]
            self.temperature = best_temperature(self.held_out, labels)
        self.model = self._machine(self.c, rows, labels)
        if back is not None:
            self.model.coef_, self.model.n_features_in_ = back(self.model.coef_), x.shape[1]
        return self

    def margins(self, x: Rows, classes: int) -> Rows:
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

    def _held_out(self, c: float, x: Rows, labels: NDArray[np.int64], folds: list[Any]) -> Rows:
        classes = int(labels.max()) + 1
        margins = np.zeros((len(labels), classes))
        for train, held in folds:
            model = self._machine(c, x[train], labels[train])
            known = np.unique(labels[train])
            margins[held] = full_margins(model, x[held], classes, known)
        return margins

    def _machine(self, c: float, x: Rows, labels: NDArray[np.int64]) -> Any:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        with warnings.catch_warnings():
            # The margins of an SVM stopped early rank the classes as well; C = 100 often is.
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine = LinearSVC(C=c, random_state=self.seed, max_iter=3000).fit(x, labels)
        self._on_machine()
        return machine


def on_few_axes(x: Rows) -> tuple[Rows, Callable[[Rows], Rows]]:
    """Rows (N, D) turned into at most N axes, and what turns weights (K, axes) back to (K, D).

    A linear machine's weights are a sum of its rows, so of D > N numbers it uses N axes only.
    Turned into these, rows keep their products, and machines their margins, but are learned from
    as fast as if they were N numbers long.
    """
    size, vectors = np.linalg.eigh(x @ x.T)
    kept = size > size[-1] * len(x) * np.finfo(np.float64).eps
    root, vectors = np.sqrt(size[kept]), vectors[:, kept]
    return vectors * root, lambda weights: (weights / root) @ vectors.T @ x


def full_margins(model: Any, x: Rows, classes: int, known: NDArray[np.int64]) -> Rows:
    """Margins (N, C); a class that the fit did not know comes last for every video."""
    margins = model.decision_function(x)
    if margins.ndim == 1:  # of two classes, scikit-learn gives the second one's only
        margins = np.stack([-margins, margins], axis=1)
    full = np.repeat(margins.min(axis=1, keepdims=True) - 1, classes, axis=1)
    full[:, known] = margins
    return full


def best_temperature(margins: Rows, labels: NDArray[np.int64]) -> float:
    """The T for which softmax(margins / T) has the smallest log loss."""
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        z = margins / np.exp(log_t)
        z = z - z.max(axis=1, keepdims=True)
        own = z[np.arange(len(labels)), labels] - np.log(np.exp(z).sum(axis=1))
        return float(-np.maximum(own, np.log(SMALLEST)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-5, 3), method="bounded").x))
