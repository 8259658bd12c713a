"""An engine in a process of its own: it may fail at any stage, and no video is lost or blamed."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import video_files
from host_device import HostDevice
from queue_faults import QUANTIZER, Fault, flow_of, open_gpu_queue, open_test_queue

from flow.algorithms.table import algorithm
from flow.extraction import batch, engine_client
from flow.extraction.engine_client import ADDRESS, RemoteEngine
from flow.extraction.engine_process import EngineProcess, owners
from flow.extraction.failures import read_failures
from flow.extraction.maker import FlowMaker, within
from flow.extraction.options import ExtractOptions
from flow.extraction.own_engine import claim_gpu
from flow.extraction.pace import seconds_per_frame
from flow.extraction.plan import Task
from flow.extraction.recipe import Recipe
from flow.tvl1.engine import EngineFault
from flow.tvl1.gpu import engine as gpu
from flow.tvl1.params import TVL1
from flow.video import VideoReader, to_grey
from storage.errors import UserError
from storage.store.store import open_store

LIMIT = 60.0


def random_frames(count: int, height: int = 24, width: int = 40, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width), dtype=np.uint8)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    with EngineProcess(str(tmp_path / "e"), partial(open_test_queue, Fault()), {}) as process:
        yield process


def test_it_gives_what_the_queue_computes(engine: EngineProcess) -> None:
    remote = RemoteEngine(engine.address)
    assert remote.version == "test 1.0"
    for count, height, width in [(3, 24, 40), (9, 24, 40), (2, 50, 70), (2, 24, 40)]:
        frames = random_frames(count, height, width)
        sample = np.empty((2, height, width), np.float32)
        codes = remote.solve(frames, True, LIMIT, sample)
        assert np.array_equal(codes, QUANTIZER.quantize(flow_of(frames)))
        assert np.array_equal(sample, flow_of(frames)[0])
        assert np.array_equal(remote.solve(frames[::-1], False, LIMIT), flow_of(frames[::-1]))


def test_memory_is_used_again_when_its_arrays_are_gone_and_not_before(
    engine: EngineProcess,
) -> None:
    remote = RemoteEngine(engine.address)
    frames = [random_frames(5, seed=seed) for seed in range(4)]
    results = [remote.solve(each, True, LIMIT)[1:] for each in frames]
    for each, result in zip(frames, results, strict=True):
        assert np.array_equal(result, QUANTIZER.quantize(flow_of(each))[1:])
    del result, results
    gc.collect()
    for each in frames * 3:
        remote.solve(each, True, LIMIT)
    assert len(remote._memories) == 4


@pytest.mark.slow
def test_many_workers_share_an_engine(engine: EngineProcess) -> None:
    script = (
        "import sys\n"
        "from test_engine_process import *\n"
        "remote = RemoteEngine(sys.argv[1])\n"
        "for number in range(20):\n"
        "    frames = random_frames(4, seed=int(sys.argv[2]) * 100 + number)\n"
        "    codes = remote.solve(frames, True, LIMIT)\n"
        "    assert np.array_equal(codes, QUANTIZER.quantize(flow_of(frames)))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [
        subprocess.Popen([sys.executable, "-c", script, engine.address, str(i)], env=environment)
        for i in range(2)
    ]
    assert [worker.wait(60) for worker in workers] == [0, 0]


def test_frames_that_are_too_much_are_a_mistake_and_end_nothing(engine: EngineProcess) -> None:
    remote = RemoteEngine(engine.address)
    with pytest.raises(UserError, match="32 pixels is too much"):
        remote.solve(random_frames(2, 24, 32), True, LIMIT)
    with pytest.raises(UserError, match="float64"):
        remote.solve(np.zeros((2, 24, 40)), True, LIMIT)  # type: ignore[arg-type]
    frames = random_frames(2)
    assert np.array_equal(remote.solve(frames, False, LIMIT), flow_of(frames))


def test_an_engine_that_does_not_start_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    for kind, says in [("raise", "illegal memory access at start"), ("die", "died as it started")]:
        fault = Fault("start", kind, 9, str(tmp_path / "marks"))
        with (
            pytest.raises(UserError, match=says),
            EngineProcess(str(tmp_path / "e"), partial(open_test_queue, fault), {}),
        ):
            raise AssertionError


def test_a_killed_engine_is_replaced(engine: EngineProcess) -> None:
    remote = RemoteEngine(engine.address)
    frames = random_frames(3)
    remote.solve(frames, True, LIMIT)
    before = engine.pid
    os.kill(before, signal.SIGKILL)
    with pytest.raises(EngineFault, match="died"):
        remote.solve(frames, True, LIMIT)
    assert np.array_equal(remote.solve(frames, False, LIMIT), flow_of(frames))
    assert engine.pid != before


def test_a_stall_ends_the_process_and_the_next_call_finds_another(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    fault = Fault("result", "stall", 1, str(tmp_path / "marks"))
    with EngineProcess(str(tmp_path / "e"), partial(open_test_queue, fault), {}) as engine:
        remote = RemoteEngine(engine.address)
        with pytest.raises(EngineFault, match=r"no flow for 0\.3 s"):
            remote.solve(random_frames(3), True, 0.3)
        frames = random_frames(3)
        assert np.array_equal(remote.solve(frames, False, LIMIT), flow_of(frames))


def test_an_engine_that_does_not_start_again_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EngineProcess(str(tmp_path / "e"), partial(open_test_queue, Fault()), {}) as engine:
        remote = RemoteEngine(engine.address)
        (tmp_path / "marks").mkdir()
        engine._open = partial(open_test_queue, Fault("start", "raise", 9, str(tmp_path / "marks")))
        os.kill(engine.pid, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(EngineFault) as caught:
                remote.solve(random_frames(3), True, LIMIT)
        assert "does not start again: RuntimeError: an illegal memory access" in str(caught.value)


@pytest.mark.slow
def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from test_engine_process import *\n"
        "with EngineProcess(sys.argv[1], partial(open_test_queue, Fault()), {}) as engine:\n"
        "    print(engine.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "e")],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    engine = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs([engine], timeout=10)
    assert not alive


# ------------------------------------------------------------------ whole runs


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(3):
        video_files.write(folder / f"{number}.avi", video_files.moving(12, 48, 64, seed=number))
    return folder


def run_with(
    fault: Fault, videos: Path, out: Path, monkeypatch: pytest.MonkeyPatch, estimate: bool = False
) -> Any:
    """A run of `extract` whose engine, in a process of its own, is the one of the tests. Without
    an estimate, which would meet the fault before the work does."""
    if not estimate:
        monkeypatch.setattr(batch, "estimate", lambda *_: None)
    owned = partial(owners, partial(open_test_queue, fault), ["0"])
    monkeypatch.setattr(batch, "engine_processes", lambda recipe: owned())
    options = ExtractOptions((str(videos),), str(out), engine="cpu", codec="raw", workers=1)
    return batch.run_batch(options, quiet=True)


def hold_to_the_truth(videos: Path, out: Path) -> None:
    with open_store(out) as store:
        assert store.videos() == ["0", "1", "2"]
        for video in store.videos():
            with VideoReader(videos / f"{video}.avi") as reader:
                grey = np.stack([to_grey(frame.rgb) for frame in reader])
            flow = flow_of(grey)
            assert np.array_equal(store.read_flow(video, 0, 11), QUANTIZER.quantize(flow))
            meta = store.video(video)
            assert meta.engine == "cpu (test 1.0)"
            error = np.abs(QUANTIZER.dequantize(QUANTIZER.quantize(flow[0])) - flow[0])[:, ::8]
            assert meta.quality["mean_abs_error_px"] == pytest.approx(error.mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("stage", "kind", "sparing"),
    [
        ("result", "raise", 0),
        pytest.param("put", "raise", 1, marks=pytest.mark.slow),
        pytest.param("put", "die", 0, marks=pytest.mark.slow),
        pytest.param("result", "die", 2, marks=pytest.mark.slow),
    ],
)
def test_after_one_fault_everything_is_stored_and_nobody_is_blamed(
    stage: str,
    kind: str,
    sparing: int,
    videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "marks").mkdir()
    fault = Fault(stage, kind, 1, str(tmp_path / "marks"), sparing)
    summary = run_with(fault, videos, tmp_path / "store", monkeypatch)
    assert len(os.listdir(tmp_path / "marks")) == 1
    assert (summary.stored, summary.failed, summary.stopped) == (3, 0, "")
    assert read_failures(tmp_path / "store") == []
    hold_to_the_truth(videos, tmp_path / "store")


def test_a_fault_in_the_estimate_costs_the_estimate_alone(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "marks").mkdir()
    fault = Fault("result", "raise", 1, str(tmp_path / "marks"))
    summary = run_with(fault, videos, tmp_path / "store", monkeypatch, estimate=True)
    assert len(os.listdir(tmp_path / "marks")) == 1
    assert (summary.stored, summary.failed, summary.stopped) == (3, 0, "")
    hold_to_the_truth(videos, tmp_path / "store")


def test_a_second_fault_ends_the_run_with_one_line_and_no_failures(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "marks").mkdir()
    fault = Fault("result", "raise", 99, str(tmp_path / "marks"))
    summary = run_with(fault, videos, tmp_path / "store", monkeypatch)
    assert (summary.stored, summary.failed, summary.remaining) == (0, 0, 3)
    assert summary.stopped.startswith("the flow engine failed twice at ")
    assert "RuntimeError: an illegal memory access at result" in summary.stopped
    assert "\n" not in summary.stopped
    assert read_failures(tmp_path / "store") == []
    assert len(os.listdir(tmp_path / "marks")) == 2
    # and the next run does what is left
    monkeypatch.undo()
    again = run_with(Fault(), videos, tmp_path / "store", monkeypatch)
    assert (again.stored, again.failed) == (3, 0)
    hold_to_the_truth(videos, tmp_path / "store")


# ------------------------------------------------------------------ engines in the worker


def test_what_an_engine_raises_is_its_fault_and_a_mistake_is_not() -> None:
    def broken() -> None:
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS:\n  sticky")

    def mistaken() -> None:
        raise UserError("too small")

    assert within(9, lambda: 5) == 5
    with pytest.raises(EngineFault, match="RuntimeError: CUDA_ERROR_ILLEGAL_ADDRESS: sticky"):
        within(9, broken)
    with pytest.raises(UserError, match="too small"):
        within(9, mistaken)
    with pytest.raises(EngineFault, match=r"no flow for 0\.05 s"):
        within(0.05, lambda: time.sleep(1))


BROKEN = """
import os
from flow.tvl1.cpu import engine
compute = engine.compute
def broken(frames, *rest):
    marks = os.environ["MARKS"]
    struck = len(os.listdir(marks))
    if struck < int(os.environ["TIMES"]):
        open(os.path.join(marks, str(struck)), "w").close()
        raise RuntimeError("sticky")
    return compute(frames, *rest)
engine.compute = broken
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 99])
def test_a_worker_whose_engine_failed_is_replaced_and_the_second_fault_ends_the_run(
    times: int, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("site", "marks"):
        (tmp_path / name).mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), *sys.path]))
    monkeypatch.setenv("MARKS", str(tmp_path / "marks"))
    monkeypatch.setenv("TIMES", str(times))
    monkeypatch.setattr(batch, "estimate", lambda *_: None)  # it would meet the fault first
    out = tmp_path / "store"
    options = ExtractOptions((str(videos),), str(out), engine="cpu", codec="raw", workers=1)
    summary = batch.run_batch(options, quiet=True)
    assert read_failures(out) == []
    assert len(os.listdir(tmp_path / "marks")) == min(times, 2)
    if times == 1:
        assert (summary.stored, summary.failed, summary.stopped) == (3, 0, "")
    else:
        assert (summary.stored, summary.failed, summary.remaining) == (0, 0, 3)
        assert "failed twice" in summary.stopped


def test_a_maker_in_a_worker_uses_the_engine_of_its_address(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS, engine.address)
    flow_maker = FlowMaker(Recipe(flow=algorithm("tvl1"), engine="gpu"))
    assert flow_maker.engine == "gpu (test 1.0)"
    frames = random_frames(3)
    assert np.array_equal(flow_maker.flow(frames), flow_of(frames))
    assert np.array_equal(flow_maker.codes(frames), QUANTIZER.quantize(flow_of(frames)))


def test_the_gpu_engine_in_a_process_gives_what_it_gives_here(tmp_path: Path) -> None:
    params = replace(TVL1(), scales=1, warps=1, inner=4)
    (tmp_path / "marks").mkdir()
    fault = Fault("put", "raise", 1, str(tmp_path / "marks"))
    frames = random_frames(4, 20, 30)
    flow = gpu.compute(frames, params, device=HostDevice(tile_rows=2))
    with EngineProcess(str(tmp_path / "e"), partial(open_gpu_queue, fault, params), {}) as engine:
        remote = RemoteEngine(engine.address)
        sample = np.empty((2, 20, 30), np.float32)
        codes = remote.solve(frames, True, LIMIT, sample)
        assert np.array_equal(codes, QUANTIZER.quantize(flow))
        assert np.array_equal(sample, flow[0])
        with pytest.raises(EngineFault, match="illegal memory access at put"):
            remote.solve(frames, True, LIMIT)
        assert np.array_equal(remote.solve(frames, False, LIMIT), flow)


def test_an_estimate_times_the_engine_of_the_other_process(
    engine: EngineProcess, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS, engine.address)
    path = videos / "0.avi"
    task = Task("0", str(path), path.name, path.stat().st_size)
    recipe = Recipe(engine="cpu", fields=("forward", "backward"))
    ((frames, seconds),) = seconds_per_frame([replace(task, frames=9)], recipe, 4, 1.0)
    assert frames == 9
    assert seconds > 0
    monkeypatch.setenv(ADDRESS, str(videos / "nothing"))
    monkeypatch.setattr(engine_client, "PATIENCE", 0.0)
    with pytest.raises(EngineFault, match="does not answer"):
        seconds_per_frame([task], recipe, 4, 1.0)


def test_every_process_claims_a_gpu_of_its_own_while_there_are_any(tmp_path: Path) -> None:
    claims = [claim_gpu(["0", "1", "2"], tmp_path) for _ in range(7)]
    assert [claim.device for claim in claims] == ["0", "1", "2", "0", "1", "2", "0"]
    claims[1].release()
    claims[2].release()
    claims[1:3] = [claim_gpu(["0", "1", "2"], tmp_path) for _ in range(2)]
    assert [claim.device for claim in claims[1:3]] == ["1", "2"]
    for claim in claims:
        claim.release()
