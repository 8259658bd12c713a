"""Fusions that are fitted on the very part they are judged on, without learning from a video that
they are judged on: in folds that keep groups whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.judge import group_names, indices, kind_after
from fusion.judge import normalise as normalised
from fusion.scores.averaging import fused_table
from fusion.scores.class_folds import class_folds, groups_of_classes
from fusion.scores.linear_svm import LinearSVMFusion
from fusion.scores.weighting import best_weights
from storage.errors import UserError
from storage.scores import ScoreTable, check_same_weights, join

FITTED = ("weighted", "svm")
"""Methods that can be fitted fold by fold."""


def by_folds(
    tables: Sequence[ScoreTable],
    method: str,
    normalise: str,
    folds: int = 5,
    *,
    seed: int = 0,
    common_only: bool = False,
) -> ScoreTable:
    """Fuse each video by weights or an SVM that the other folds gave.

    The part is cut by groups, with the classes even. So what is judged is the way of fusing, on
    sources that were not fitted on, and not one set of weights: each fold has its own, in `made`.
    """
    if method not in FITTED:
        raise UserError(f"--folds is for --method {' or '.join(FITTED)}, not {method}")
    check_same_weights(tables)
    joined = join(tables, common_only=common_only)
    first = joined[0]
    if first.part == "train" and not all(t.provenance.get("out_of_fold") for t in joined):
        raise UserError(
            "--folds on the train part would learn from scores of videos that the streams have "
            "learned by heart; give a validation or test part"
        )
    parts = fold_rows(first.labels, indices(group_names(joined)[0]), folds, seed)
    scores = np.zeros((len(first.videos), len(first.classes)))
    learned: list[Any] = []
    for held in parts:
        others = np.setdiff1d(np.arange(len(scores)), held)
        fit, judged = ([t.rows(rows) for t in joined] for rows in (others, held))
        if method == "svm":
            machine = LinearSVMFusion(normalise, seed=seed).fit(fit)
            scores[held] = machine.fuse(judged).scores
            learned.append(machine.c)
        else:
            weights, _ = best_weights([normalised(t, normalise) for t in fit], fit[0].labels)
            each = (normalised(t, normalise) for t in judged)
            scores[held] = sum(w * s for w, s in zip(weights, each, strict=True))
            learned.append(weights)
    svm = method == "svm"
    return fused_table(
        joined,
        scores,
        kind="logits" if svm else kind_after(normalise),
        name=f"{'SVM' if svm else 'weighted'} ({normalise}, {folds} folds)",
        fusion={
            "method": method,
            "normalise": normalise,
            "seed": seed,
            "C of folds" if svm else "weights of folds": learned,
            "fit": {
                "part": first.part,
                "split": first.split,
                "videos": len(scores),
                "folds": folds,
                "leak": False,
            },
        },
    )


def fold_rows(
    labels: NDArray[np.int64], group: NDArray[np.int64], folds: int, seed: int
) -> list[NDArray[np.int64]]:
    """Rows (n,) of each fold; a group (N,) is never cut, and the labels (N,) are spread evenly."""
    groups = int(group.max()) + 1
    per_class = groups_of_classes(labels, group)
    most = int(per_class[per_class > 0].min())
    if not 2 <= folds <= most:
        raise UserError(
            f"--folds {folds} must be from 2 to {most}, the groups of the class that has fewest "
            f"({groups} groups in all)"
            if most > 1
            else "--folds needs two groups of every class at least; fit on validation scores with "
            "--fit"
        )
    return class_folds(labels, group, folds, seed)
