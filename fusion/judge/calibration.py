"""Whether a confidence of 80 % is right in 80 of 100 videos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Reliability over equal-width bins of confidence; (B,) arrays without empty bins."""

    confidence: NDArray[np.float64]
    """Mean confidence of the bin's videos."""
    accuracy: NDArray[np.float64]
    """Share of them that are right."""
    videos: NDArray[np.int64]

    @property
    def expected_error(self) -> float:
        """ECE: mean distance of confidence and accuracy, weighted by the videos."""
        gap = abs(self.confidence - self.accuracy)
        return float((gap * self.videos).sum() / self.videos.sum())

    @property
    def overconfidence(self) -> float:
        """Mean confidence less accuracy; positive where the scores claim too much."""
        gap = self.confidence - self.accuracy
        return float((gap * self.videos).sum() / self.videos.sum())


def calibration(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS
) -> Calibration:
    """Reliability of confidences (N,) in 0..1 of predictions that are `right` (N,) or not."""
    at = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    videos = np.bincount(at, minlength=bins)
    used = videos > 0
    mean = np.bincount(at, weights=confidence, minlength=bins)[used] / videos[used]
    accuracy = np.bincount(at, weights=right, minlength=bins)[used] / videos[used]
    return Calibration(mean, accuracy, videos[used])


def expected_noise(
    confidence: NDArray[np.floating], bins: int = BINS, draws: int = 100, seed: int = 0
) -> float:
    """The mean ECE of a perfectly calibrated system with these confidences (N,): what is left of
    the error when each video is right with exactly its confidence. It falls with more videos."""
    at = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    sums = np.bincount(at, weights=confidence, minlength=bins)
    generator = np.random.default_rng(seed)
    errors = 0.0
    for _ in range(draws):
        right = generator.random(len(confidence)) < confidence
        errors += float(abs(np.bincount(at, weights=right, minlength=bins) - sums).sum())
    return errors / draws / len(confidence)
