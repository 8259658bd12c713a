"""The greedy ensemble of a report: chosen on the tables of `--fit`, judged on the split."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion.judge import (
    Measure,
    Paired,
    SplitEvaluation,
    paired,
    resample,
    share_of,
)
from fusion.judge import normalise as normalised
from fusion.scores import EnsemblePath, ensemble_path, fit_tables
from storage.errors import UserError
from storage.scores import ScoreTable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ensemble:
    """What was chosen, and how each length of it does on the split."""

    names: tuple[str, ...]
    """Systems that there were to choose from."""
    path: EnsemblePath
    normalise: str
    fit: dict[str, Any]
    """What it was chosen on, as `fit_tables` says it."""
    accuracy: tuple[Measure, ...]
    """Of the first member, the first two, ... on the split."""
    test: Paired
    """The ensemble against its first member, the best system of the tables it was chosen on."""

    @property
    def shares(self) -> dict[str, float]:
        """Member -> its weight, in the order of their coming."""
        return {self.names[m]: n / self.path.length for m, n in self.path.chosen.items()}


def find_ensemble(
    split: SplitEvaluation,
    fitted: Sequence[ScoreTable],
    draws: int,
    seed: int,
    common_only: bool = False,
) -> tuple[Ensemble | None, str]:
    """Of the single streams that have a table in `fitted`; or None, and why."""
    by_name = {table.stream: table for table in fitted}
    tables = [table for table in split.single_tables if table.stream in by_name]
    if len(tables) < 2:
        return None, why_not(split, fitted)
    try:
        chosen_on, note = fit_tables(
            tables, [by_name[table.stream] for table in tables], common_only=common_only
        )
    except UserError as error:
        log.warning("no ensemble is chosen: %s", error)
        return None, str(error)
    ranked = any(table.kind == "scores" for table in (*tables, *chosen_on))
    scales = ("zscore",) if ranked else ("softmax", "logits")
    paths = {how: ensemble_path(chosen_on, how) for how in scales}
    how = max(paths, key=lambda each: max(paths[each].held or paths[each].fitted))
    path = paths[how]
    total = np.zeros(tables[0].scores.shape, np.float32)
    right = []
    for member in path.members:
        total += normalised(tables[member], how)
        right.append(total.argmax(axis=1) == split.labels)
    counts = resample(split.groups, draws, seed)
    accuracy = tuple(share_of(hits, split.group, counts) for hits in right)
    names = tuple(table.stream for table in tables)
    first = names[path.members[0]]
    final = right[path.length - 1]
    test = paired("ensemble", first, final, right[0], split.group, counts, seed)
    return Ensemble(names, path, how, note, accuracy, test), ""


def why_not(split: SplitEvaluation, fitted: Sequence[ScoreTable]) -> str:
    """Why nothing can be chosen from, in words that say what to give."""
    singles = [table.stream for table in split.single_tables]
    if len(singles) < 2:
        said = f"{singles[0]} is the only single stream" if singles else "there is no single stream"
        return f"{said} of this split, so there is nothing to add; give the tables of two or more"
    if not fitted:
        return (
            "there are no scores to choose on, and those that are judged here may not be chosen "
            f"on; give validation scores of {', '.join(singles[:3])}"
            f"{', ...' if len(singles) > 3 else ''} by --fit"
        )
    known = {table.stream for table in fitted}
    there = ", ".join(name for name in singles if name in known) or "none of them"
    return (
        f"of the single streams {there} has validation scores in --fit, and two are needed; "
        f"without are {', '.join(name for name in singles if name not in known)}"
    )
