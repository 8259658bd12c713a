"""Where everything lies in device memory, and how levels are cut into tiles: integers only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from flow.tvl1 import TVL1

LANES = 32
WARPS = 8
THREADS = WARPS * LANES
TILE_WIDTH = 2 * LANES
MAX_HALO = 16
PAIR_BYTES = 80
QUEUE_BYTES = 32
TASK_BYTES = 64
RULES_BYTES = 32
CHAINS = 8
"""Of operations in the kernels that measure a device: independent, so that no latency shows."""

MACROS = {
    "LANES": LANES,
    "WARPS": WARPS,
    "MAX_HALO": MAX_HALO,
    "PAIR_BYTES": PAIR_BYTES,
    "QUEUE_BYTES": QUEUE_BYTES,
    "TASK_BYTES": TASK_BYTES,
    "RULES_BYTES": RULES_BYTES,
    "CHAINS": CHAINS,
}
"""What the compiler of the kernels is told of these; the kernels define none of them."""

THRESHOLD_BYTES = 1024
ALIGNMENT = 512


def block_bytes(tile_rows: int) -> int:
    """Shared memory of a block of `solve_level`."""
    sections = (WARPS * (2 * tile_rows + 2) + 2) * LANES * 16
    errors = MAX_HALO * WARPS * 4 + MAX_HALO * 8
    return sections + errors + TASK_BYTES + RULES_BYTES


@dataclass(frozen=True)
class Tiling:
    """A level cut into tiles that overlap by twice the halo."""

    across: int
    down: int
    halo: int

    @property
    def count(self) -> int:
        return self.across * self.down

    @staticmethod
    def best(height: int, width: int, tile_rows: int) -> Tiling:
        """The halo with the least work: a wide one needs more tiles, a narrow one more tasks.

        A task is taken to cost its iterations and, for loading and storing, as much as 4 more.
        The checks of the stopping rule end tasks early: on real clips, halos of 4, 6, 8 and 10
        pixels give tasks of 3.5, 4.5, 5.4 and 6.0 iterations.
        """
        tall = WARPS * tile_rows

        def cost(halo: int) -> float:
            tiles = _tiles(width, TILE_WIDTH, halo) * _tiles(height, tall, halo)
            return tiles * (1 + 4 / (1.5 * halo**0.6))

        halo = min(range(2, min(MAX_HALO, tall // 2 - 1) + 1), key=cost)
        if height <= tall and width <= TILE_WIDTH:
            halo = MAX_HALO  # a single tile has no neighbour to wait for
        return Tiling(_tiles(width, TILE_WIDTH, halo), _tiles(height, tall, halo), halo)


def _tiles(size: int, extent: int, halo: int) -> int:
    if size <= extent:
        return 1
    return -(-(size - 2 * halo) // (extent - 2 * halo))


@dataclass(frozen=True)
class BatchLayout:
    """A batch of `pairs` pairs: offsets in bytes into one block of device memory.

    Frame i and frame i + 1 make pair i, so a batch holds `pairs + 1` frames.
    """

    params: TVL1
    height: int
    width: int
    pairs: int
    tile_rows: int = 8

    @property
    def frames(self) -> int:
        return self.pairs + 1

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of every level, the finest first."""
        return self.params.level_sizes(self.height, self.width)

    @cached_property
    def tilings(self) -> list[Tiling]:
        return [Tiling.best(*size, self.tile_rows) for size in self.sizes]

    @cached_property
    def most_steps(self) -> int:
        """The most steps that a pair can put into the queue of a level."""
        filtered = self.params.inner + 1  # every iteration alone, after a median filtering
        return self.params.warps * (1 + self.params.outer * filtered + 1)  # a last one repeated

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Where each part begins; `end` is the size of it all."""
        area = self.height * self.width
        parts = {
            "frames": self.frames * area,
            **{f"image{n}": self.frames * h * w * 4 for n, (h, w) in enumerate(self.sizes)},
            "taps": self.frames * area * 16,
            "flow0": self.pairs * area * 8,
            "flow1": self.pairs * area * 8,
            "flow2": self.pairs * area * 8,
            "dual0": self.pairs * area * 16,
            "dual1": self.pairs * area * 16,
            "data": self.pairs * area * 16,  # at the end, the result and a sample
            "pairs": self.pairs * PAIR_BYTES,
            "errors": self.pairs * max(t.count for t in self.tilings) * MAX_HALO * 4,
            "queue": QUEUE_BYTES,
            "steps": self.pairs * self.most_steps * 4,
            "thresholds": THRESHOLD_BYTES,
        }
        offsets, at = {}, 0
        for name, size in parts.items():
            offsets[name] = at
            at += -(-size // ALIGNMENT) * ALIGNMENT
        offsets["end"] = at
        return offsets

    @property
    def bytes(self) -> int:
        return self.offsets["end"]


USUAL_PIXELS = 11_000_000
"""Pixels in a batch (126 pairs of 340x256): enough to fill any GPU, and soon done."""

MOST_PAIRS = 512


def choose_pairs(
    params: TVL1, height: int, width: int, tile_rows: int, free: int, slots: int
) -> int:
    """How many pairs a batch should hold, of which `slots` are in memory at once."""

    def size(pairs: int) -> int:
        return BatchLayout(params, height, width, pairs, tile_rows).bytes

    usual = min(MOST_PAIRS, max(1, round(USUAL_PIXELS / (height * width))))
    room = int(free * 0.85) // slots  # the rest is for kernels, and for others on this GPU
    one, more = size(1), size(2) - size(1)
    return max(1, min(usual, 1 + (room - one) // more))
