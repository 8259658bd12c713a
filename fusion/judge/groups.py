"""Which videos come from one source and are therefore not independent of each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from storage.catalog import group_of
from storage.scores import ScoreTable


def group_names(tables: Sequence[ScoreTable]) -> tuple[tuple[str, ...], str]:
    """The group (N,) of each of joined tables' videos, and in words where it comes from.

    A group is known by its name, in every table and split."""
    for table in tables:
        if table.groups:
            return table.groups, "the groups named in the score tables"
    videos = tables[0].videos
    sources = tuple(group_of(video) for video in videos)
    if sources != videos:
        return sources, "the videos' names, as UCF-101, HMDB-51 and Kinetics give them"
    return videos, "nothing: each video counts as a group of its own"


def indices(names: Sequence[str]) -> NDArray[np.int64]:
    """Names -> 0, 1, 2, ... in order of first appearance."""
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], np.int64)
