"""A run folder as the report shows it: its recipe, and its figures over the steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.training import RunFolder

NOT_DRAWN = ("step", "epoch", "seconds")


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
