"""A run folder as the report shows it: its recipe, and its figures over the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from storage.scores import ScoreTable
from streams.training import RunFolder

NOT_DRAWN = ("step", "epoch", "seconds")
NOT_LEARNED = ("running_mean", "running_var", "num_batches_tracked")
"""Last names of tensors in a file of weights that no gradient reaches."""


@dataclass(frozen=True)
class RunFigures:
    """What training left behind."""

    name: str
    config: dict[str, Any]
    series: dict[str, list[tuple[float, float]]]
    """PART/FIGURE -> (step, value) in the order in which they were written."""


def read_run(folder: str | Path) -> RunFigures:
    """Read config.json and metrics.jsonl; what is no finite number is left out."""
    opened = RunFolder(folder)
    config = opened.read()
    series: dict[str, list[tuple[float, float]]] = {}
    for row in opened.rows():
        for name, value in row.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and name not in NOT_DRAWN and math.isfinite(value):
                points = series.setdefault(f"{row['part']}/{name}", [])
                points.append((float(row["step"]), float(value)))
    return RunFigures(opened.path.resolve().name, config, series)


def with_parameters(table: ScoreTable, folders: Sequence[str | Path]) -> ScoreTable:
    """The table, its costs not known, with the parameters counted in the weights of its run, where
    that is one of `folders`."""
    run = table.provenance.get("run")
    if "parameters" in table.provenance or not isinstance(run, str):
        return table
    if run not in [str(Path(folder).resolve()) for folder in folders]:
        return table
    weights = RunFolder(run).best_weights
    if not weights.exists():
        return table
    from streams.training import load_weights

    found = load_weights(weights)
    if table.provenance.get("weights", found.hash) != found.hash:
        return table  # scored before the run went on
    learned = [t for name, t in found.tensors.items() if name.rpartition(".")[2] not in NOT_LEARNED]
    number = sum(tensor.numel() for tensor in learned)
    return replace(table, provenance=table.provenance | {"parameters": number})
