"""A run folder as the report shows it: its recipe, and its figures over the steps."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import UserError

STEPS = ("step", "steps", "iteration", "epoch")
NOT_DRAWN = (*STEPS, "time", "seconds", "wall", "elapsed", "eta", "seed", "rank")


@dataclass(frozen=True)
class RunFolder:
    """What training left behind."""

    name: str
    config: dict[str, Any]
    step: str
    """What the figures are counted over: step or epoch."""
    series: dict[str, list[tuple[float, float]]]
    """Figure -> (step, value) in the order in which they were written."""


def read_run(folder: str | Path) -> RunFolder:
    """Read config.json and metrics.jsonl; a last line cut short by a crash is left out."""
    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"run folder {path} is not there; give one that `twostream train` wrote")
    config: dict[str, Any] = {}
    if (path / "config.json").is_file():
        try:
            config = json.loads((path / "config.json").read_text("utf-8"))
        except ValueError as error:
            raise UserError(f"{path / 'config.json'} is no JSON: {error}") from None
    rows = _rows(path / "metrics.jsonl")
    step = next((name for name in STEPS if any(name in row for row in rows)), "")
    series: dict[str, list[tuple[float, float]]] = {}
    for position, row in enumerate(rows):
        at = row.get(step, position)
        before = f"{row['part']}/" if isinstance(row.get("part"), str) else ""
        for name, value in _numbers(row, before).items():
            if name.rsplit("/", 1)[-1] not in NOT_DRAWN and isinstance(at, int | float):
                series.setdefault(name, []).append((float(at), value))
    if not config and not series:
        raise UserError(f"{path} holds neither config.json nor metrics.jsonl; is it a run folder?")
    return RunFolder(path.resolve().name, config, step or "line", series)


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line) if line.strip() else {}
        except ValueError:
            if number == len(lines):
                break
            raise UserError(f"{path}, line {number}, is no JSON") from None
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _numbers(row: dict[str, Any], before: str = "") -> dict[str, float]:
    """{"test": {"loss": 1}} -> {"test/loss": 1.0}; what is no finite number is left out."""
    found: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= _numbers(value, f"{before}{name}/")
        elif (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ):
            found[before + name] = float(value)
    return found
