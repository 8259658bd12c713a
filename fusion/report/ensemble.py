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
) -> Ensemble | None:
    """Of the single streams that have a table in `fitted`; None with fewer than two, or where
    those may not be learned from, which is then logged."""
    by_name = {table.stream: table for table in fitted}
    tables = [table for table in split.single_tables if table.stream in by_name]
    if len(tables) < 2:
        return None
    try:
        chosen_on, note = fit_tables(
            tables, [by_name[table.stream] for table in tables], common_only=common_only
        )
    except UserError as error:
        log.warning("no ensemble is chosen: %s", error)
        return None
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
    return Ensemble(names, path, how, note, accuracy, test)
