"""The engine that `bench extract --engine simulated:RATE` puts in the place of a GPU."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from flow.algorithms.table import algorithm
from flow.extraction import Recipe
from flow.tvl1.engine import FlowRequest
from scripts.bench import extract_simulated, simulated
from storage.codecs.codec import flow_codec
from storage.codecs.quantize import Quantizer
from storage.errors import UserError

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 20, 30), dtype=np.uint8)
CODES = np.random.default_rng(1).integers(0, 256, (5, 2, 20, 30), dtype=np.uint8)
RECIPE = Recipe(flow=algorithm("dis"), codec="raw", frame_codec="raw")


def test_rates() -> None:
    assert simulated.rate_of("cpu") is None
    assert simulated.rate_of("simulated:3e3") == 3000
    for text in ("simulated:", "simulated:fast", "simulated:0", "simulated:-1", "simulated:nan"):
        with pytest.raises(UserError, match="give pairs/s over 0"):
            simulated.rate_of(text)


def queue(rate: float) -> simulated.SimulatedQueue:
    sums = [simulated.zlib.crc32(frame) for frame in FRAMES]
    places = {pair: at for at, pair in enumerate(simulated.pairwise(sums))}
    return simulated.SimulatedQueue(rate, RECIPE, simulated.KnownFlow(CODES, places))


def request(start: int, stop: int, kind: type = np.uint8) -> FlowRequest:
    out = np.zeros((stop - start - 1, 2, 20, 30), kind)
    return FlowRequest(FRAMES[start:stop], out, np.zeros((2, 20, 30), np.float32))


def test_it_gives_the_flow_that_it_knows_of_any_part() -> None:
    engine = queue(1e6)
    parts = [request(0, 3), request(2, 6), request(1, 2 + 1, np.float32)]
    for part in parts:
        engine.put(part)
    done: list[FlowRequest] = []
    while len(done) < 3:
        done += engine.finished(wait=True)
    assert done == parts
    assert np.array_equal(parts[0].out, CODES[:2])
    assert np.array_equal(parts[1].out, CODES[2:])
    assert np.array_equal(parts[2].out, Quantizer().dequantize(CODES[1:2]))
    assert np.array_equal(parts[1].sample, Quantizer().dequantize(CODES[2]))


def test_it_keeps_to_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    engine = queue(10)
    engine.put(request(0, 3))  # 0.2 s
    engine.put(request(0, 6))  # 0.5 s, after it
    seen = []
    for moment in (100.19, 100.21, 100.69, 100.71):
        now[0] = moment
        seen.append(len(engine.finished()))
    assert seen == [0, 1, 0, 1]
    now[0] = 200.0  # idle time is lost
    engine.put(request(0, 2))
    now[0] = 200.05
    assert engine.finished() == []


def test_the_own_cost_is_of_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import video_files

    frames = video_files.moving(6, 48, 64)
    path = str(video_files.write(tmp_path / "a.avi", frames))
    codes = np.full((5, 2, 48, 64), 128, np.uint8)
    coded = []
    coder = flow_codec("raw")
    monkeypatch.setattr(type(coder), "encode", lambda self, item: coded.append(1) or item.tobytes())
    ticks = iter(range(1000))
    monkeypatch.setattr(time, "thread_time", lambda: float(next(ticks)))
    cost = extract_simulated.own_cost([path], RECIPE, codes, tmp_path / "store")
    stages = ["decode", "resize", "grey", "count", "code", "jpeg", "store"]
    assert cost == dict.fromkeys(stages, 1 / 5)  # seconds by that clock over pairs
    assert len(coded) == 5 + 6


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="Linux keeps these accounts")
def test_processor_time_is_read_of_the_system() -> None:
    before, busy = extract_simulated.cpu_of({os.getpid()}), extract_simulated.busy_of_all()
    own = time.process_time()
    while time.process_time() - own < 0.2:
        pass
    used = extract_simulated.cpu_of({os.getpid()}) - before
    assert 0.15 < used < 1
    assert extract_simulated.busy_of_all() - busy >= used - 0.1
