"""The CPU engine: TV-L1 in Numba, sixteen pixels at a time, one thread a pair of frames.

What makes it fast, each in a file of its own: explicit vectors (`simd`), one sweep over memory an
iteration (`sweep`), one set of bicubic weights for three planes (`warp`), a median without
branches (`median`), memory laid out once for all pairs (`layout`).
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from flow.tvl1 import TVL1, checked_frames
from flow.tvl1.cpu.layout import ArenaLayout, layout_for
from flow.tvl1.cpu.simd import LANES
from flow.tvl1.cpu.solver import build_pyramid, solve

log = logging.getLogger(__name__)

CHUNK = 4
"""Pairs that a thread takes at once: neighbours share a pyramid, few keep the threads even."""

_lock = threading.Lock()
_idle: dict[tuple[int, int, TVL1], list[NDArray[np.float32]]] = {}
"""Arenas that no thread uses now, of the last frame size only."""


open_queue = None


def status(params: TVL1 | None = None) -> str:
    """`ok`: where this module could be imported, Numba works."""
    return "ok"


def version() -> str:
    return f"numba {numba.__version__}"


def devices() -> list[str]:
    return []


def compute(frames: NDArray[np.uint8], params: TVL1, threads: int = 1) -> NDArray[np.float32]:
    """uint8 (N, H, W) -> float32 (N-1, 2, H, W), x then y, in pixels.

    Memory beside the result is that of one pair a thread, and is kept for the next call.
    """
    frames = checked_frames(frames)
    flow = np.empty((len(frames) - 1, 2, *frames.shape[1:]), np.float32)
    compute_into(frames, params, flow, threads)
    return flow


def compute_into(
    frames: NDArray[np.uint8], params: TVL1, flow: NDArray[np.float32], threads: int = 1
) -> int:
    """`compute` into an array; gives the pixel-iterations that it took."""
    pairs = len(flow)
    if threads == 1 or pairs == 1:
        return _run(frames, params, flow, 0, pairs)
    compiled_pair()  # once, before the threads all ask for it
    chunk = max(1, min(CHUNK, -(-pairs // threads)))
    with ThreadPoolExecutor(threads) as pool:
        parts = [
            pool.submit(_run, frames, params, flow, start, min(start + chunk, pairs))
            for start in range(0, pairs, chunk)
        ]
        return sum(part.result() for part in parts)


def _run(
    frames: NDArray[np.uint8], params: TVL1, flow: NDArray[np.float32], start: int, stop: int
) -> int:
    """Pairs start..stop-1, one after the other, each frame's pyramid built once."""
    pair = compiled_pair()
    height, width = frames.shape[1:]
    layout = layout_for(height, width, params)
    corners = np.zeros(2 * LANES, np.int32)
    work = 0
    with _arena((height, width, params), layout) as memory:
        for index in range(start, stop):
            work += pair(
                memory, layout.arena, layout.rules, corners, frames, index, index == start,
                flow[index],
            )  # fmt: skip
    return work


@contextmanager
def _arena(key: tuple[int, int, TVL1], layout: ArenaLayout) -> Iterator[NDArray[np.float32]]:
    """An arena for one thread, from those that lie idle if there is one."""
    with _lock:
        if key not in _idle:
            _idle.clear()
            _idle[key] = []
        arena = _idle[key].pop() if _idle[key] else None
    if arena is None:
        arena = layout.allocate()
    try:
        yield arena
    finally:
        with _lock:
            if key in _idle:
                _idle[key].append(arena)


def _flow_of_pair(m, arena, rules, corners, frames, index, fresh, out):  # type: ignore[no-untyped-def]
    """Flow from frames[index] to the next; `fresh`: the first pyramid is not there yet."""
    first = index % 2
    if fresh:
        build_pyramid(m, arena, first, frames[index])
    build_pyramid(m, arena, 1 - first, frames[index + 1])
    return solve(m, arena, rules, corners, first, out)


@lru_cache(maxsize=1)
def _compile() -> Any:
    """The compiled pair function, from Numba's cache on disk where it is there already.

    Numba looks only at the file of the function that it caches; so the name carries a digest
    of all files that are compiled into it.
    """
    here = Path(__file__)
    sources = b"".join(path.read_bytes() for path in sorted(here.parent.glob("*.py")))
    _flow_of_pair.__qualname__ = f"flow_{hashlib.sha256(sources).hexdigest()[:12]}"
    example = layout_for(16, 16, TVL1())
    signature = types.int64(
        types.Array(types.float32, 1, "C"),
        numba.typeof(example.arena),
        numba.typeof(example.rules),
        types.Array(types.int32, 1, "C"),
        types.Array(types.uint8, 3, "C", readonly=True),
        types.int64,
        types.boolean,
        types.Array(types.float32, 3, "C"),
    )
    options = {"nogil": True, "error_model": "numpy"}
    try:
        pair = njit(cache=True, **options)(_flow_of_pair)
        cache = Path(pair.stats.cache_path)
        there = any(cache.glob(f"*{_flow_of_pair.__qualname__}*.nbc"))
    except RuntimeError as error:  # neither the installation nor the user's cache is writable
        pair, there = njit(**options)(_flow_of_pair), False
        log.warning("compiled code is not kept: %s; NUMBA_CACHE_DIR names a folder for it", error)
    if not there:
        log.info("compiling the CPU engine; this takes some seconds, once")
    started = time.perf_counter()
    pair.compile(signature)
    log.debug("CPU engine ready after %.1f s", time.perf_counter() - started)
    return pair


def compiled_pair() -> Any:
    """Compile once, whoever asks first."""
    with _lock:
        return _compile()
