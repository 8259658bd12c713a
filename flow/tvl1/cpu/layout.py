"""Memory and tables for frames of one size: made once, used for every pair."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import TVL1
from flow.tvl1.cpu import solver as at
from flow.tvl1.cpu.simd import LANES
from flow.tvl1.cpu.sweep import PLANES
from flow.tvl1.cpu.warp import BORDER, QUAD


@dataclass(frozen=True)
class Plan:
    """Where everything lies for one frame size and one set of parameters; read only."""

    levels: NDArray[np.int64]
    places: NDArray[np.int64]
    low: NDArray[np.int64]
    fraction: NDArray[np.float32]
    numbers: NDArray[np.float32]
    wholes: NDArray[np.int64]
    floats: int
    """Size of the arena."""

    def arena(self) -> NDArray[np.float32]:
        """Memory for one thread, filled with what does not change; 64-byte aligned."""
        raw = np.zeros(self.floats + LANES, np.float32)
        skip = -raw.ctypes.data % (4 * LANES) // 4
        arena = raw[skip : skip + self.floats]
        widest = int(self.levels[0, at.PITCH])
        start = self.places[at.COLUMNS]
        arena[start : start + widest] = np.arange(widest)
        for level in self.levels:
            inside = (int(level[at.WIDTH]) - 1) % LANES + 1
            arena[level[at.MASK] : level[at.MASK] + inside] = 1
        return arena


@lru_cache(maxsize=8)
def plan_for(height: int, width: int, params: TVL1) -> Plan:
    """Lay out the arena for frames of this size."""
    sizes = params.level_sizes(height, width)
    pitches = [(w + LANES) // LANES * LANES + LANES for _, w in sizes]
    levels = np.zeros((len(sizes), at.LEVEL_COLUMNS), np.int64)
    taps: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
    used = 0

    def reserve(count: int) -> int:
        nonlocal used
        place = used + LANES  # a vector's width is free before everything
        used = place + (count + LANES - 1) // LANES * LANES
        return place

    def table(count: int, step: float, limit: int) -> int:
        shift = 0.5 if params.dialect == "opencv-cpu" else 0.0
        where = np.clip((np.arange(count) + shift) * step - shift, 0, limit - 1)
        where = where.astype(np.float32)
        low = np.floor(where).astype(np.int64)
        start = sum(len(part) for part, _ in taps)
        taps.append((low, where - low.astype(np.float32)))
        return start

    shrink = 1 / params.scale_step
    for number, ((h, w), pitch) in enumerate(zip(sizes, pitches, strict=True)):
        level = levels[number]
        level[[at.HEIGHT, at.WIDTH, at.PITCH]] = h, w, pitch
        level[at.FIRST_FRAME] = reserve((h + 1) * pitch)
        level[at.SECOND_FRAME] = reserve((h + 1) * pitch)
        level[at.MASK] = reserve(LANES)
        if number:
            finer_h, finer_w = sizes[number - 1]
            level[at.SHRINK_ROWS] = table(h, shrink, finer_h)
            level[at.SHRINK_COLUMNS] = table(w, shrink, finer_w)
        if number + 1 < len(sizes):
            coarser_h, coarser_w = sizes[number + 1]
            level[at.GROW_ROWS] = table(h, coarser_h / h, coarser_h)
            level[at.GROW_COLUMNS] = table(w, coarser_w / w, coarser_w)

    places = np.zeros(at.PLACES, np.int64)
    widest = max(pitches)
    places[at.STATE] = reserve(
        max((h + 3) * PLANES * p for (h, _), p in zip(sizes, pitches, strict=True))
    )
    places[at.QUADS] = reserve((height + 2 * BORDER + 1) * QUAD * widest)
    places[at.COARSE] = reserve(2 * (height + 1) * widest)
    places[at.COLUMNS] = reserve(widest)
    places[at.SCRATCH] = reserve(max(8 * (widest + 2 * LANES), 12 * LANES))
    places[at.ERRORS] = reserve(16 * LANES)
    used += 2 * LANES

    numbers = np.zeros(6, np.float32)
    numbers[at.REACH] = params.lambda_ * params.theta
    numbers[at.THETA] = params.theta
    numbers[at.TAUT] = params.tau / params.theta
    numbers[at.EPSILON] = params.epsilon
    numbers[at.CUBIC] = -0.75 if params.dialect == "opencv-cpu" else -0.5
    numbers[at.GROWTH] = 1 / params.scale_step
    wholes = np.zeros(6, np.int64)
    wholes[at.WARPS], wholes[at.OUTER], wholes[at.INNER] = params.warps, params.outer, params.inner
    wholes[at.MEDIAN] = params.median
    wholes[[at.PREDICTS, at.REPEATS]] = params.dialect == "opencv-cuda"
    return Plan(
        levels=levels,
        places=places,
        low=np.concatenate([low for low, _ in taps] or [np.zeros(1, np.int64)]),
        fraction=np.concatenate([part for _, part in taps] or [np.zeros(1, np.float32)]),
        numbers=numbers,
        wholes=wholes,
        floats=used,
    )
