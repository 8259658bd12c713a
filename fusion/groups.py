"""Which videos come from one source and are therefore not independent of each other."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from storage.scores import ScoreTable

UCF_CLIP = re.compile(r"^(?P<group>.*_g\d+)_c\d+$")
"""UCF-101 cuts several clips out of one video: v_<Class>_g<video>_c<clip>."""


def groups_of(tables: Sequence[ScoreTable]) -> tuple[NDArray[np.int64], str]:
    """Group index int64 (N,) of joined tables' videos, and in words where it comes from."""
    for table in tables:
        if table.groups:
            return indices(table.groups), "the groups named in the score tables"
    videos = tables[0].videos
    found = [UCF_CLIP.match(video) for video in videos]
    if all(found):
        return indices([m["group"] for m in found if m]), "the videos' names (v_Class_gXX_cYY)"
    return indices(videos), "nothing: each video counts as a group of its own"


def indices(names: Sequence[str]) -> NDArray[np.int64]:
    """Names -> 0, 1, 2, ... in order of first appearance."""
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], np.int64)
