"""How near the GPU engine comes to what its device can do, all three measured in the same run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import TVL1
from flow.tvl1.gpu import CHAINS, Batch, BatchLayout, Device, Scalar, Stream, open_device

ARITHMETIC = 34
"""Additions, multiplications, multiply-adds and comparisons of a pixel-iteration, each of them one
instruction: 2 + 2 for the data term, 6 for the divergence, 4 for the flow, 2 x 10 for the duals."""

SPECIAL = 4
"""Square roots and reciprocals of a pixel-iteration."""

THREADS = 256
REPEATS = 5


@dataclass(frozen=True)
class Ceilings:
    """What a device was measured to do in a second."""

    memory: float
    """Bytes read and bytes written, together."""
    arithmetic: float
    """FP32 multiply-adds, each counted once."""
    special: float
    """Reciprocal square roots."""


def shares_of_ceilings(
    frames: NDArray[np.uint8], params: TVL1, seconds: float, device: Device | None = None
) -> dict[str, float]:
    """The shares of a device's memory and arithmetic that `seconds` a pair of `frames` stand for.

    Memory counts what tasks load and store, halos and all, though part of it comes out of the
    cache. Arithmetic counts what the definition needs, so a halo's pixels lower the share.
    """
    device = device or open_device(0)
    most = measured_ceilings(device)
    count, height, width = frames.shape
    batch = Batch(device, BatchLayout(params, height, width, count - 1, device.tile_rows), None)
    batch.submit(frames)
    iterations, _, moved = batch.work().mean(axis=0)
    return {
        "memory": float(moved / seconds / most.memory),
        "FP32": float(iterations * ARITHMETIC / seconds / most.arithmetic),
        "special functions": float(iterations * SPECIAL / seconds / most.special),
    }


_measured: dict[str, Ceilings] = {}


def measured_ceilings(device: Device, scale: int = 1 << 10) -> Ceilings:
    """Those of a device, measured when first asked for. `scale` sets the work."""
    if device.name in _measured:
        return _measured[device.name]
    stream = device.stream()
    blocks = 4 * scale
    values = scale * THREADS * CHAINS * 16  # float4: half a GiB, more than any cache
    both = device.allocate(2 * 16 * values)
    source, target = np.uint64(both.address), np.uint64(both.address + 16 * values)

    def rate(kernel: str, arguments: Sequence[Scalar], work: float) -> float:
        return work / best_time(device, stream, kernel, blocks, arguments)

    rounds = 4 * scale
    operations = float(blocks) * THREADS * rounds * CHAINS
    _measured[device.name] = Ceilings(
        memory=rate("copy_memory", [source, target, np.int32(values)], 32.0 * values),
        arithmetic=rate("multiply_add", [target, np.int32(rounds), np.float32(0.999)], operations),
        special=rate("special_functions", [target, np.int32(rounds)], operations),
    )
    return _measured[device.name]


def best_time(
    device: Device, stream: Stream, kernel: str, blocks: int, arguments: Sequence[Scalar]
) -> float:
    """Seconds of one launch, the best of several; the first, which compiles, does not count."""
    device.launch(stream, kernel, (blocks, 1), THREADS, arguments)
    device.wait(stream)
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        device.launch(stream, kernel, (blocks, 1), THREADS, arguments)
        device.wait(stream)
        best = min(best, time.perf_counter() - started)
    return best
