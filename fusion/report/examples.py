"""Which videos are worth a look: surest, most mistaken, rescued and lost by the fusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.judge import Figures, SplitEvaluation

KINDS = {
    "right": "Most confident and right",
    "wrong": "Most confident and wrong",
    "rescued": "Rescued by fusion: right, where the best single stream is wrong",
    "lost": "Lost by fusion: wrong, where the best single stream is right",
    "nobody": "No system is right: are these labels true?",
}


@dataclass(frozen=True)
class Example:
    """A video and why it is shown."""

    kind: str
    row: int
    """Which video of the split."""


def choose_examples(
    split: SplitEvaluation, shown: Figures, each: int = 6
) -> dict[str, list[Example]]:
    """Kind -> at most `each` videos of the table `shown`, the most telling first.

    No class comes twice within a kind while there are others, so that one easy class does not
    fill the page.
    """
    judged = shown.judged
    sure = judged.confidence.astype(np.float64)
    chosen = {"right": (judged.right, sure), "wrong": (~judged.right, sure)}
    single = split.best_single(shown) if shown.fusion is not None else None
    if single is not None:
        before = single.judged
        gained = judged.true_probability.astype(np.float64) - before.true_probability
        chosen["rescued"] = (judged.right & ~before.right, gained)
        chosen["lost"] = (~judged.right & before.right, -gained)
    if len(split.singles) > 2:
        nobody = ~np.any([f.judged.right for f in split.figures], axis=0)
        chosen["nobody"] = (nobody, sure)
    return {
        kind: [Example(kind, int(row)) for row in _pick(which, by, split.labels, each)]
        for kind, (which, by) in chosen.items()
    }


def _pick(
    which: NDArray[np.bool_], by: NDArray[np.float64], labels: NDArray[np.int64], each: int
) -> list[int]:
    rows = np.flatnonzero(which)
    rows = rows[np.argsort(-by[rows], kind="stable")]
    seen: set[int] = set()
    first: list[int] = []
    for row in rows.tolist():
        if labels[row] not in seen:
            seen.add(int(labels[row]))
            first.append(row)
        if len(first) == each:
            break
    rest = [row for row in rows[: 2 * each].tolist() if row not in first]
    return (first + rest)[:each]
