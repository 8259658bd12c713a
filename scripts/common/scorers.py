"""Who scores a run, by its kind."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

SCORERS = {"fusion": "fusion.network.scorer"}
"""Kind of a run -> the module whose `open_scorer(run, device)` can use it; others are streams."""


def scorer_module(kind: str) -> ModuleType:
    return import_module(SCORERS.get(kind, "streams.scoring.stream_scorer"))
