"""A random sample of rows that come in blocks, in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError


class RowSample:
    """At most `most` of all rows seen, each as likely as any other.

    Every row draws a number, and those with the smallest numbers stay. So the sample depends on
    the seed and on the order of the rows, and not on how they are cut into blocks.
    """

    def __init__(self, most: int, seed: int) -> None:
        if most < 1:
            raise UserError(f"a sample of {most} rows is asked for; it must be at least 1")
        self.most = most
        self.seen = 0
        self._random = np.random.default_rng(seed)
        self._blocks: list[NDArray[np.float32]] = []
        self._draws: list[NDArray[np.float64]] = []
        self._held = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        """See rows (N, D); they are copied."""
        self.seen += len(rows)
        for start in range(0, max(len(rows), 1), self.most):
            block = np.array(rows[start : start + self.most], np.float32)
            self._blocks.append(block)
            self._draws.append(self._random.random(len(block)))
            self._held += len(block)
            if self._held >= 2 * self.most:
                self._thin()

    def rows(self) -> NDArray[np.float32]:
        """The sample, in the order in which its rows came."""
        self._thin()
        return self._blocks[0]

    def _thin(self) -> None:
        rows, draws = np.concatenate(self._blocks), np.concatenate(self._draws)
        if len(rows) > self.most:
            kept = np.sort(np.argpartition(draws, self.most - 1)[: self.most])
            rows, draws = rows[kept], draws[kept]
        self._blocks, self._draws, self._held = [rows], [draws], len(rows)
