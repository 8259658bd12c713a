"""Weighted average of the streams' scores: the fusion that everybody compares with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fusion.judge import kind_after
from fusion.judge import normalise as normalised
from storage.errors import UserError
from storage.scores import ScoreTable, join, unique_names


def average(
    tables: Sequence[ScoreTable],
    weights: Sequence[float] | None = None,
    normalise: str = "softmax",
    *,
    common_only: bool = False,
) -> ScoreTable:
    """Fuse tables of the same videos: sum of weight x normalised scores, over the weights' sum.

    `weights` has one number, not negative, a table; equal when None. The result is a ScoreTable
    in the first table's order; `made["fusion"]` says how it came about.
    """
    joined = join(tables, common_only=common_only)
    given = [1.0] * len(joined) if weights is None else [float(w) for w in weights]
    shares = check_weights(given, len(joined))
    scores = sum(w * normalised(t, normalise) for w, t in zip(shares, joined, strict=True))
    return fused_table(
        joined,
        scores,
        kind=kind_after(normalise),
        name=f"average {ratio(given)} ({normalise})",
        fusion={"method": "average", "normalise": normalise, "weights": given},
    )


def ratio(weights: Sequence[float]) -> str:
    """[1.0, 1.5] -> "1:1.5"."""
    return ":".join(f"{weight:.4g}" for weight in weights)


def check_weights(given: Sequence[float], streams: int) -> list[float]:
    """The weights divided by their sum, or an error that says what is wrong with them."""
    if len(given) != streams:
        raise UserError(f"{len(given)} weights for {streams} tables; give --weights one for each")
    if not all(np.isfinite(w) and w >= 0 for w in given) or sum(given) <= 0:
        raise UserError(f"weights {given} must be finite, not negative, and not all 0")
    return [w / sum(given) for w in given]


def fused_table(
    joined: Sequence[ScoreTable], scores: Any, *, kind: str, name: str, fusion: dict[str, Any]
) -> ScoreTable:
    """The ScoreTable of a fusion: the first table's videos, and how each stream was made."""
    streams = [table.stream for table in unique_names(joined)]
    groups = next((table.groups for table in joined if table.groups), ())
    sources = {
        name: table.provenance
        for name, table in zip(streams, joined, strict=True)
        if table.provenance
    }
    return replace(
        joined[0],
        scores=np.asarray(scores, np.float32),
        kind=kind,
        stream=name,
        groups=groups,
        features=None,
        provenance={"fusion": {"streams": streams} | fusion}
        | ({"sources": sources} if sources else {}),
    )
