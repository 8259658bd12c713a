"""A mixture of Gaussians with diagonal covariances: fitted by scikit-learn, computed here."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError

log = logging.getLogger(__name__)

LEAST = 10
"""Rows that a Gaussian needs at least; from fewer, a variance for each column means nothing."""
FLOOR = 1e-4
"""Added to variances; rows have a variance of about 1."""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Gaussians:
    """K Gaussians of D numbers."""

    weights: NDArray[np.float64]
    """(K,), over 0, sum 1."""
    means: NDArray[np.float64]
    """(K, D)."""
    variances: NDArray[np.float64]
    """(K, D), over 0."""

    def __post_init__(self) -> None:
        k = len(self.weights)
        fits = self.weights.ndim == 1 and self.means.ndim == 2 and len(self.means) == k
        if not fits or self.means.shape != self.variances.shape:
            shapes = [array.shape for array in (self.weights, self.means, self.variances)]
            raise UserError(
                f"weights, means and variances are {shapes}; they must be (K,), (K, D) and (K, D)"
            )
        finite = all(np.isfinite(a).all() for a in (self.weights, self.means, self.variances))
        if not finite or (self.weights <= 0).any() or (self.variances <= 0).any():
            raise UserError("weights and variances of Gaussians must be over 0, and all finite")

    @property
    def count(self) -> int:
        """K."""
        return len(self.weights)

    def posteriors(self, rows: Floats) -> Floats:
        """Rows (N, D) -> (N, K): how likely each Gaussian is, given the row. Of the rows' dtype."""
        precisions = 1 / self.variances
        bias = np.log(self.weights) - 0.5 * (
            (self.means**2 * precisions).sum(1) + np.log(self.variances).sum(1)
        )
        dtype = rows.dtype
        logits: Floats = rows @ (self.means * precisions).T.astype(dtype)
        logits += (rows * rows) @ (-0.5 * precisions).T.astype(dtype)
        logits += bias.astype(dtype)
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits


def fitted_gaussians(rows: Floats, count: int, seed: int, iterations: int = 100) -> Gaussians:
    """Fit `count` Gaussians to rows (N, D), whose variance is about 1, by EM from k-means.

    scikit-learn holds some matrices of N x K float64 meanwhile: 2 GB for 256,000 rows and K = 256.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    check_enough(len(rows), count)
    mixture = GaussianMixture(
        count, covariance_type="diag", reg_covar=FLOOR, max_iter=iterations, random_state=seed
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mixture.fit(np.asarray(rows, np.float64))
    for warning in caught:
        if not issubclass(warning.category, ConvergenceWarning):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if not mixture.converged_:
        log.info("the mixture of %d Gaussians still changes after %d steps", count, iterations)
    weights = np.maximum(mixture.weights_, np.finfo(np.float64).tiny)
    return Gaussians(weights, mixture.means_, mixture.covariances_)


def check_enough(rows: int, count: int) -> None:
    """Refuse to fit Gaussians to too few rows."""
    if count < 1:
        raise UserError(f"{count} Gaussians are asked for; choose at least 1")
    if rows < LEAST * count:
        most = rows // LEAST
        smaller = f"choose at most {most} Gaussians, or " if most else ""
        raise UserError(
            f"{count} Gaussians need at least {LEAST * count} descriptors, and there are {rows}: "
            f"{smaller}give more or longer videos"
        )
