"""The CPU engine's parts, each against something plainer; its threads, its cache, its errors."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from moving_texture import moving, noise, shift
from surroundings import ROOT

from flow.tvl1.cpu import engine, median
from flow.tvl1.cpu.layout import layout_for
from flow.tvl1.cpu.memory import Image, Planes, Weights
from flow.tvl1.cpu.simd import LANES
from flow.tvl1.cpu.solver import TOGETHER
from flow.tvl1.cpu.sweep import PLANES, iterate
from flow.tvl1.params import TVL1

QUICK = TVL1(scales=2, warps=2, inner=8)


def test_the_median_network_is_right_for_all_columns_of_zeros_and_ones() -> None:
    ways = np.array(list(itertools.product(range(6), repeat=5)))  # ones in each sorted column
    wires = [ways[:, column] >= 5 - row for row in range(5) for column in range(5)]
    expected = ways.sum(axis=1) >= 13
    for low, high in median.MIDDLE_OF_COLUMNS:
        wires[low], wires[high] = wires[low] & wires[high], wires[low] | wires[high]
    assert np.array_equal(wires[median.MIDDLE], expected)


def test_columns_are_sorted() -> None:
    for way in itertools.product((0, 1), repeat=5):
        wires = list(way)
        for low, high in median.SORT_COLUMN:
            wires[low], wires[high] = min(wires[low], wires[high]), max(wires[low], wires[high])
        assert wires == sorted(way)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 33), (40, 79)])
def test_the_median_is_opencvs(height: int, width: int) -> None:
    pitch = width + 64
    plane = np.random.default_rng(0).standard_normal((height, width)).astype(np.float32)
    memory = np.zeros(height * pitch + 9 * (pitch + 64), np.float32)
    image = memory[LANES : LANES + height * pitch].reshape(height, pitch)
    image[:, :width] = plane
    median.median_5x5(memory, Image(LANES, pitch, height, width), LANES + height * pitch)
    assert np.array_equal(image[:, :width], cv2.medianBlur(plane, 5))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (23, 50)])
def test_interleaved_iterations_are_those_one_by_one(height: int, width: int) -> None:
    pitch = (width + LANES) // LANES * LANES + LANES
    random = np.random.default_rng(0)
    origin = LANES + PLANES * pitch
    start = np.zeros((height + 3) * PLANES * pitch, np.float32)
    rows = start[LANES : LANES + (height + 1) * PLANES * pitch].reshape(-1, PLANES, pitch)
    rows[1:, :, :width] = random.standard_normal((height, PLANES, width)) / 4
    mask = np.zeros(LANES, np.float32)
    mask[: (width - 1) % LANES + 1] = 1
    planes = Planes(origin, pitch, height, width, len(start))
    weights = Weights(np.float32(0.045), np.float32(0.3), np.float32(0.8))

    def run(*counts: int) -> tuple[np.ndarray, list[float]]:
        memory = np.concatenate([start, mask, np.zeros(8 * LANES, np.float32)])
        errors: list[float] = []
        for step, count in enumerate(counts):
            at = len(start) + LANES
            iterate(memory, planes, weights, count, step == 0, at)
            errors += [float(memory[at + k * LANES]) for k in range(count)]
        return memory[: len(start)], errors

    one_by_one, errors = run(1, 1, 1, 1, 1, 1)
    for counts in ((6,), (2, 4), (3, 1, 2)):
        together, same_errors = run(*counts)
        assert np.array_equal(together, one_by_one)
        assert same_errors == errors


def test_threads_give_the_same_flow() -> None:
    frames = noise(12, 24, 37)
    alone = engine.compute(frames, QUICK)
    for threads in (2, 3, 40):
        assert np.array_equal(engine.compute(frames, QUICK, threads=threads), alone)


def test_passages_give_the_flow_of_the_whole() -> None:
    """A video may be computed piece by piece; nothing is left over from other frames or sizes."""
    frames = noise(9, 24, 37)
    whole = engine.compute(frames, QUICK)
    parts = []
    for start in range(0, 8, 3):
        engine.compute(noise(2, 50, 20), QUICK)
        parts.append(engine.compute(frames[start : start + 4], QUICK))
    assert np.array_equal(np.concatenate(parts), whole)


def test_memory_is_kept_for_the_next_call_and_for_one_size_only() -> None:
    engine.compute(noise(6, 24, 37), QUICK, threads=2)
    ((key, arenas),) = engine._idle.items()
    assert key == (24, 37, QUICK)
    assert 1 <= len(arenas) <= 2
    kept = {id(arena) for arena in arenas}
    engine.compute(noise(3, 24, 37), QUICK)
    assert {id(arena) for arena in engine._idle[key]} == kept
    engine.compute(noise(3, 24, 40), QUICK)
    assert list(engine._idle) == [(24, 40, QUICK)]


def test_an_arena_holds_nothing_that_the_next_pair_could_see() -> None:
    frames, _ = moving(shift(2, 1), 33, 47)
    expected = engine.compute(frames, TVL1())
    places = layout_for(33, 47, TVL1()).arena
    arena = engine._idle[33, 47, TVL1()][0]
    lasting = np.zeros(len(arena), bool)  # the columns' numbers and the masks are written once
    lasting[places.columns :][: places.levels["pitch"][0]] = True
    for mask in places.levels["mask"]:
        lasting[mask : mask + LANES] = True
    arena[~lasting] = 7e3
    assert np.array_equal(engine.compute(frames, TVL1()), expected)


def test_pixel_iterations_are_counted() -> None:
    frames = noise(2, 32, 48)
    params = TVL1(scales=2, warps=3, inner=7, epsilon=0.0)
    flow = np.empty((1, 2, 32, 48), np.float32)
    sizes = params.level_sizes(32, 48)
    assert engine.compute_into(frames, params, flow) == sum(3 * 7 * h * w for h, w in sizes)
    assert TOGETHER > 1


RUN = """
import logging, numpy as np, sys
logging.basicConfig(level=logging.INFO, format="%(message)s")
sys.path.insert(0, sys.argv[1])
import flow
frames = np.zeros((2, 16, 16), np.uint8)
print(flow.compute_flow(frames, engine="cpu").shape, flow.tvl1.cpu.engine.__file__)
"""


@pytest.mark.slow
def test_compiling_is_announced_once_and_a_read_only_installation_works(tmp_path: Path) -> None:
    installed = tmp_path / "site"
    for room in ("flow", "storage"):
        shutil.copytree(
            ROOT / room,
            installed / room,
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
    shutil.copy(ROOT / "twostream.py", installed)
    for folder in (*(p for p in installed.rglob("*") if p.is_dir()), installed):
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    for variable in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONPATH"):
        environment.pop(variable, None)
    heard = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(installed)],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "(1, 2, 16, 16)" in done.stdout
        assert str(installed) in done.stdout
        heard.append(done.stderr.count("compiling the CPU engine"))
    assert heard == [1, 0]


def test_without_any_place_for_compiled_code_it_still_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[bool] = []

    def njit(**options: object) -> object:
        asked.append(bool(options.get("cache")))
        if options.get("cache"):
            raise RuntimeError("no locator available for file 'engine.py'")
        return lambda function: type("Compiled", (), {"compile": lambda self, signature: None})()

    monkeypatch.setattr(engine, "njit", njit)
    with caplog.at_level(logging.INFO):
        engine._compile.__wrapped__()
    assert asked == [True, False]
    assert "NUMBA_CACHE_DIR" in caplog.text
