"""Memory and tables for frames of one size: built once, used for every pair."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import TVL1
from flow.tvl1.cpu.memory import Arena, Rules, Weights
from flow.tvl1.cpu.simd import LANES
from flow.tvl1.cpu.sweep import PLANES
from flow.tvl1.cpu.warp import BORDER, QUAD

LEVEL = np.dtype(
    [
        *((name, np.int64) for name in ("height", "width", "pitch", "mask")),
        # where in the tap tables the taps lie for this level's image, from the finer one's,
        *((name, np.int64) for name in ("shrink_rows", "shrink_columns")),
        # and those for this level's flow, from the coarser one's
        *((name, np.int64) for name in ("grow_rows", "grow_columns")),
    ]
)


class ArenaLayout(NamedTuple):
    """Where everything lies for one frame size and one set of parameters; read only."""

    arena: Arena
    rules: Rules
    floats: int
    """Size of the arena."""

    def allocate(self) -> NDArray[np.float32]:
        """Memory for one thread, filled with what does not change; 64-byte aligned."""
        raw = np.zeros(self.floats + LANES, np.float32)
        skip = -raw.ctypes.data % (4 * LANES) // 4
        memory = raw[skip : skip + self.floats]
        widest, start = int(self.arena.levels["pitch"][0]), self.arena.columns
        memory[start : start + widest] = np.arange(widest)
        for width, mask in self.arena.levels[["width", "mask"]].tolist():
            memory[mask : mask + (width - 1) % LANES + 1] = 1
        return memory


@lru_cache(maxsize=8)
def layout_for(height: int, width: int, params: TVL1) -> ArenaLayout:
    """Lay out the arena for frames of this size."""
    sizes = params.level_sizes(height, width)
    pitches = [(w + LANES) // LANES * LANES + LANES for _, w in sizes]
    levels = np.zeros(len(sizes), LEVEL)
    frames = np.zeros((len(sizes), 2), np.int64)
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
        level["height"], level["width"], level["pitch"] = h, w, pitch
        frames[number] = reserve((h + 1) * pitch), reserve((h + 1) * pitch)
        level["mask"] = reserve(LANES)
        if number:
            finer_h, finer_w = sizes[number - 1]
            level["shrink_rows"] = table(h, shrink, finer_h)
            level["shrink_columns"] = table(w, shrink, finer_w)
        if number + 1 < len(sizes):
            coarser_h, coarser_w = sizes[number + 1]
            level["grow_rows"] = table(h, coarser_h / h, coarser_h)
            level["grow_columns"] = table(w, coarser_w / w, coarser_w)

    widest = max(pitches)
    largest = max((h + 3) * PLANES * p for (h, _), p in zip(sizes, pitches, strict=True))
    arena = Arena(
        levels=levels,
        frames=frames,
        low=np.concatenate([low for low, _ in taps] or [np.zeros(1, np.int64)]),
        fraction=np.concatenate([part for _, part in taps] or [np.zeros(1, np.float32)]),
        state=reserve(largest),
        quads=reserve((height + 2 * BORDER + 1) * QUAD * widest),
        coarse=reserve(2 * (height + 1) * widest),
        columns=reserve(widest),
        scratch=reserve(max(8 * (widest + 2 * LANES), 12 * LANES)),
        errors=reserve(16 * LANES),
    )
    return ArenaLayout(arena, rules_of(params), used + 2 * LANES)


def rules_of(params: TVL1) -> Rules:
    """The parameters as compiled code reads them."""
    return Rules(
        weights=Weights(
            reach=np.float32(params.lambda_ * params.theta),
            theta=np.float32(params.theta),
            taut=np.float32(params.tau / params.theta),
        ),
        epsilon=np.float32(params.epsilon),
        cubic=np.float32(-0.75 if params.dialect == "opencv-cpu" else -0.5),
        growth=np.float32(1 / params.scale_step),
        warps=params.warps,
        outer=params.outer,
        inner=params.inner,
        median=params.median,
        predicts=params.dialect == "opencv-cuda",
        repeats=params.dialect == "opencv-cuda",
    )
