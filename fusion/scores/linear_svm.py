"""Linear SVM on the streams' stacked scores, as in the two-stream paper of 2014."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.judge import SMALLEST, group_names, indices
from fusion.judge import normalise as normalised
from fusion.scores.averaging import fused_table
from fusion.scores.fitting import fit_tables
from storage.errors import UserError
from storage.scores import ScoreTable, join

GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
FOLDS = 5


@dataclass
class LinearSVMFusion:
    """One-against-rest linear SVM; C by cross-validation whose folds never cut a group.

    Its margins are divided by a temperature, found on the held-out folds, so that their softmax
    is a probability; the ranking is that of the margins.
    """

    normalise: str = "l2"
    grid: Sequence[float] = GRID
    seed: int = 0
    c: float | None = None
    """The C that was chosen; None before `fit`."""
    cross_validated: dict[str, float] = field(default_factory=dict)
    """C -> accuracy on the held-out folds."""
    temperature: float = 1.0
    _model: Any = None
    _known: NDArray[np.int64] | None = None

    def fit(self, tables: Sequence[ScoreTable]) -> LinearSVMFusion:
        """Fit on joined tables, one a stream; which part they may be of is the caller's care."""
        labels = tables[0].labels
        self._known = np.unique(labels)
        if len(self._known) < 2:
            raise UserError(
                "the tables to fit on hold a single class; an SVM needs videos of two or more"
            )
        x = self._stack(tables)
        group = indices(group_names(tables)[0])
        folds = self._folds(labels, group)
        held = {c: self._held_out(c, x, labels, folds) for c in self.grid} if folds else {}
        accuracy = {c: float((m.argmax(1) == labels).mean()) for c, m in held.items()}
        # Of equally good ones the smallest C, the most regular; without folds, the usual 1.
        self.c = max(sorted(accuracy), key=accuracy.__getitem__) if accuracy else 1.0
        self.cross_validated = {f"{c:g}": a for c, a in accuracy.items()}
        if held:
            self.temperature = best_temperature(held[self.c], labels)
        self._model = self._machine(self.c, x, labels)
        return self

    def fuse(self, tables: Sequence[ScoreTable], fit: dict[str, Any] | None = None) -> ScoreTable:
        """Scores of joined tables as a ScoreTable of logits; `fit` is noted in `made`."""
        if self._model is None or self._known is None or self.c is None:
            raise UserError("the SVM is not fitted yet; call fit() with validation tables first")
        classes = tables[0].classes
        absent = [c for i, c in enumerate(classes) if i not in self._known]
        scores = self._margins(self._model, self._stack(tables), len(classes), self._known)
        fusion = {
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

    def _folds(self, labels: NDArray[np.int64], group: NDArray[np.int64]) -> list[Any]:
        from sklearn.model_selection import StratifiedGroupKFold

        # A class of a single group is held out whole or not at all: folds would show nothing of C.
        pairs = np.unique(np.stack([labels, group]), axis=1)
        folds = min(FOLDS, int(np.bincount(pairs[0]).max()))
        if folds < 2:
            return []
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=self.seed)
        with warnings.catch_warnings():
            # A class with fewer videos than folds is common in a small validation part.
            warnings.simplefilter("ignore", UserWarning)
            split = list(splitter.split(labels, labels, group))
        return [(a, b) for a, b in split if len(b) and len(np.unique(labels[a])) > 1]

    def _held_out(
        self, c: float, x: NDArray[np.float64], labels: NDArray[np.int64], folds: list[Any]
    ) -> NDArray[np.float64]:
        classes = int(labels.max()) + 1
        margins = np.zeros((len(labels), classes))
        for train, held in folds:
            model = self._machine(c, x[train], labels[train])
            known = np.unique(labels[train])
            margins[held] = self._margins(model, x[held], classes, known)
        return margins

    def _machine(self, c: float, x: NDArray[np.float64], labels: NDArray[np.int64]) -> Any:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        with warnings.catch_warnings():
            # The margins of an SVM stopped early rank the classes as well; C = 100 often is.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return LinearSVC(C=c, random_state=self.seed, max_iter=3000).fit(x, labels)

    @staticmethod
    def _margins(
        model: Any, x: NDArray[np.float64], classes: int, known: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Margins (N, C); a class that the fit did not know comes last for every video."""
        margins = model.decision_function(x)
        if margins.ndim == 1:  # of two classes, scikit-learn gives the second one's only
            margins = np.stack([-margins, margins], axis=1)
        full = np.repeat(margins.min(axis=1, keepdims=True) - 1, classes, axis=1)
        full[:, known] = margins
        return full


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


def best_temperature(margins: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The T for which softmax(margins / T) has the smallest log loss."""
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        z = margins / np.exp(log_t)
        z = z - z.max(axis=1, keepdims=True)
        own = z[np.arange(len(labels)), labels] - np.log(np.exp(z).sum(axis=1))
        return float(-np.maximum(own, np.log(SMALLEST)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-5, 3), method="bounded").x))
