"""The benchmark's figures of a GPU add up: work is counted, ceilings are measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from host_device import HostDevice
from moving_texture import moving, shift

from flow.tvl1.gpu.batch import Batch
from flow.tvl1.gpu.layout import BatchLayout
from flow.tvl1.params import TVL1
from scripts.bench import gpu as bench_gpu

PARAMS = replace(TVL1(), scales=1, warps=2, inner=6, epsilon=0)


def test_tasks_are_counted_with_what_they_move() -> None:
    frames, _ = moving(shift(1, 0), 40, 60)
    device = HostDevice(tile_rows=8)
    batch = Batch(device, BatchLayout(PARAMS, 40, 60, 1, tile_rows=8), None)
    batch.submit(frames)
    ((useful, executed, moved),) = batch.work()
    area = 40 * 60
    assert useful == executed == 2 * 6 * area
    # one tile of the whole frame: each warp has one task of 6 iterations
    linearise, iterate = 8 + 4 + 16 + 16, (8 + 16 + 16) + (8 + 16)
    assert moved == 2 * area * (linearise + iterate)


def test_shares_are_work_over_time_over_what_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames, _ = moving(shift(1, 0), 40, 60)
    ceilings = bench_gpu.Ceilings(memory=1e9, arithmetic=1e8, special=1e7)
    monkeypatch.setattr(bench_gpu, "measured_ceilings", lambda device: ceilings)
    shares = bench_gpu.shares_of_ceilings(frames, PARAMS, 0.5, device=HostDevice())
    iterations = 2 * 6 * 40 * 60
    assert shares["FP32"] == pytest.approx(iterations * bench_gpu.ARITHMETIC / 0.5 / 1e8)
    assert shares["special functions"] == pytest.approx(iterations * bench_gpu.SPECIAL / 0.5 / 1e7)
    assert shares["memory"] == pytest.approx(2 * 40 * 60 * (44 + 64) / 0.5 / 1e9)


def test_ceilings_are_measured_by_kernels_that_do_the_work() -> None:
    device = HostDevice()
    measured = bench_gpu.measured_ceilings(device, scale=1)
    assert min(measured.memory, measured.arithmetic, measured.special) > 0
    assert device.launches.count("copy_memory") == bench_gpu.REPEATS + 1


def test_the_copy_copies() -> None:
    device = HostDevice()
    data = np.random.default_rng(0).random(4 * 1000, np.float32)
    memory = device.allocate(2 * data.nbytes)
    device.upload(None, memory.address, data)
    ends = np.uint64(memory.address), np.uint64(memory.address + data.nbytes)
    device.launch(None, "copy_memory", (3, 1), 64, [*ends, np.int32(1000)])
    copied = np.empty_like(data)
    device.download(None, copied, int(ends[1]))
    assert np.array_equal(copied, data)
