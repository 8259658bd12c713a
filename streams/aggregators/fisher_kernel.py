"""The Fisher vector of a set of descriptors under a mixture of Gaussians.

Perronnin, Sanchez and Mensink, "Improving the Fisher kernel for large-scale image classification"
(ECCV 2010): the mean gradient of the log-likelihood by the means and by the variances, over the
square root of the Fisher information (which is taken as diagonal). As usual, and unlike
scikit-image's `fisher_vector`, the K gradients by the weights are left out. The second part has
scikit-image's sign, that of the gradient by inverse variances; the paper has the other one, and
no linear classifier can tell them apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streams.aggregators.gaussians import Floats, Gaussians

CHUNK = 8192
"""Rows at once: with 256 Gaussians, 8 MB of posteriors."""


class FisherSums:
    """What a Fisher vector needs of all rows, summed as they come."""

    def __init__(self, gaussians: Gaussians) -> None:
        self.gaussians = gaussians
        self._rows = 0
        self._total = np.zeros(gaussians.count)
        self._first, self._second = np.zeros((2, *gaussians.means.shape))

    def add(self, rows: Floats) -> None:
        """Count rows (N, D) in. Float32 is fast; sums of all chunks are float64."""
        posteriors = self.gaussians.posteriors(rows)
        self._rows += len(rows)
        self._total += posteriors.sum(axis=0, dtype=np.float64)
        self._first += posteriors.T @ rows
        self._second += posteriors.T @ (rows * rows)

    def vector(self) -> NDArray[np.float64]:
        """(2 K D,): by means, then by variances, Gaussian by Gaussian; zeros without any rows."""
        weights, means, variances = (
            self.gaussians.weights[:, None],
            self.gaussians.means,
            self.gaussians.variances,
        )
        rows, total = max(self._rows, 1), self._total[:, None]
        by_mean = (self._first - total * means) / (rows * np.sqrt(weights * variances))
        spread = self._second - 2 * self._first * means + total * means**2
        by_variance = (total * variances - spread) / (rows * np.sqrt(2 * weights) * variances)
        return np.concatenate([by_mean.ravel(), by_variance.ravel()])
