"""What each system adds to the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fusion.judge import Paired, SplitEvaluation, holm, normalise_scores, paired, resample
from storage.scores import ScoreTable

ELEMENTS = 1 << 22
"""Scores of all systems held at a time."""


@dataclass(frozen=True)
class Additions:
    """M single streams beside each other and in equal averages; nothing here is fitted."""

    names: tuple[str, ...]
    normalise: str
    """How scores are brought to one scale before they are averaged."""
    together: NDArray[np.float64]
    """(M, M): accuracy of the equal average of two; on the diagonal each one's own."""
    only: NDArray[np.int64]
    """(M,): videos that this system alone has right."""
    everything: float
    """Accuracy of the equal average of all."""
    added: tuple[Paired, ...]
    """M tests: the average of all against the average of all but this one. Holm's correction for
    all M."""


def additions(split: SplitEvaluation, draws: int, seed: int) -> Additions | None:
    """Of the single streams; None with fewer than two."""
    tables = split.single_tables
    if len(tables) < 2:
        return None
    names = tuple(table.stream for table in tables)
    normalise = "zscore" if any(table.kind == "scores" for table in tables) else "softmax"
    pairs = list(combinations(range(len(tables)), 2))
    found = [rights_together(rows, normalise, pairs) for rows in _pieces(tables)]
    two, all_, without = (np.concatenate(part, axis=-1) for part in zip(*found, strict=True))
    right = np.stack([split[name].judged.right for name in names])
    together = np.diag(right.mean(axis=1))
    for (a, b), hits in zip(pairs, two, strict=True):
        together[a, b] = together[b, a] = hits.mean()
    counts = resample(split.groups, draws, seed)
    tests = [
        paired("all", f"all but {name}", all_, rest, split.group, counts, seed)
        for name, rest in zip(names, without, strict=True)
    ]
    corrected = holm([test.p for test in tests])
    return Additions(
        names=names,
        normalise=normalise,
        together=together,
        only=(right & (right.sum(axis=0) == 1)).sum(axis=1),
        everything=float(all_.mean()),
        added=tuple(replace(t, p_holm=p) for t, p in zip(tests, corrected, strict=True)),
    )


def _pieces(tables: Sequence[ScoreTable]) -> list[list[ScoreTable]]:
    """The tables in pieces of some rows."""
    videos = len(tables[0].videos)
    step = max(1, ELEMENTS // (len(tables) * len(tables[0].classes)))
    return [
        [table.rows(range(start, min(start + step, videos))) for table in tables]
        for start in range(0, videos, step)
    ]


Right = NDArray[np.bool_]


def rights_together(
    tables: Sequence[ScoreTable], normalise: str, pairs: Sequence[tuple[int, int]]
) -> tuple[Right, Right, Right]:
    """Which videos (N) the equal averages have right: of each pair (P, N), of all (N,), of all but
    one (M, N)."""
    labels = tables[0].labels
    scores = np.stack([normalise_scores(t.scores, t.kind, normalise) for t in tables])
    total = scores.sum(axis=0)
    two = np.stack([(scores[a] + scores[b]).argmax(axis=1) == labels for a, b in pairs])
    without = np.stack([(total - one).argmax(axis=1) == labels for one in scores])
    return two, total.argmax(axis=1) == labels, without
