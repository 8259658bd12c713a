"""`twostream bench gpu-day`: its checks can fail, its steps can be run, its page says what came."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tyro
from host_device import HostDevice

from flow.tvl1.gpu import engine
from flow.tvl1.gpu.batch import Batch
from flow.tvl1.params import TVL1
from scripts.bench import gpu_check, gpu_day
from scripts.bench.command import BENCHES
from scripts.bench.flow_material import draw_motion
from storage.errors import UserError

SMALL = replace(TVL1(), scales=1, warps=1, inner=6)
Patch = pytest.MonkeyPatch


def wrong_on(device: HostDevice) -> list[str]:
    frames = draw_motion(20, 30, 3).frames
    return [holds.__name__ for holds in gpu_check.CHECKS if holds(device, frames, SMALL)]


def test_all_checks_hold_on_the_stand_in() -> None:
    assert wrong_on(HostDevice(tile_rows=2)) == []


@pytest.mark.gpu
@pytest.mark.skipif(engine.status() != "ok", reason=f"no GPU engine here: {engine.status()}")
def test_all_checks_hold_on_the_gpu() -> None:
    assert gpu_check.what_is_wrong(gpu_check.open_device(0)) == []


def test_a_wrong_solver_fails_the_check_against_the_reference(monkeypatch: Patch) -> None:
    solve = Batch._solve

    def wrong(batch: Batch, level: int, flow: str, other: str) -> None:
        batch.layout = replace(batch.layout, params=replace(batch.layout.params, lambda_=0.5))
        solve(batch, level, flow, other)

    monkeypatch.setattr(Batch, "_solve", wrong)
    assert wrong_on(HostDevice(tile_rows=2)) == ["agrees_with_the_reference"]


def test_a_result_that_depends_on_the_batch_fails(monkeypatch: Patch) -> None:
    result = Batch.result
    monkeypatch.setattr(Batch, "result", lambda batch: result(batch) + batch.pairs)
    assert "batches_do_not_matter" in wrong_on(HostDevice(tile_rows=2))


def test_a_wrong_sample_fails(monkeypatch: Patch) -> None:
    submit = Batch.submit

    def spoiled(batch: Batch, images: Any, sample: bool = False) -> None:
        submit(batch, images, sample)
        if sample:
            batch.sample += np.float32(1)

    monkeypatch.setattr(Batch, "submit", spoiled)
    assert wrong_on(HostDevice(tile_rows=2)) == ["codes_are_the_quantisers"]


def test_the_check_ends_with_what_is_wrong(
    monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_check, "open_device", lambda number: HostDevice(tile_rows=2))
    monkeypatch.setattr(gpu_check, "CHECKS", (lambda *_: "",))
    assert gpu_check.main(["--small"]) == 0
    assert capsys.readouterr().out == "all holds on host\n"

    def unlike(*_: object) -> str:
        return "all is lost"

    monkeypatch.setattr(gpu_check, "CHECKS", (unlike,))
    assert gpu_check.main(["--small"]) == 1
    assert "opencv-cpu 70x40, unlike: all is lost" in capsys.readouterr().out


@pytest.mark.parametrize("clips", [None, "videos"])
def test_every_step_is_a_command_that_there_is(clips: str | None) -> None:
    steps = gpu_day.plan(gpu_day.GpuDay(Path("x"), clips))
    assert sum(step.limit for step in steps) <= 1.5 * gpu_day.LIMIT
    for step in steps:
        words = list(step.command)
        if words[: len(gpu_day.TWOSTREAM) + 1] == [*gpu_day.TWOSTREAM, "bench"]:
            name, *rest = words[len(gpu_day.TWOSTREAM) + 1 :]
            module, options = BENCHES[name]
            tyro.cli(getattr(import_module(module), options), args=rest)
        elif words[0] == sys.executable:
            assert words[2] in ("twostream", "scripts.bench.gpu_check")


def say(text: str, code: int = 0) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", f"import sys; print({text!r}); sys.exit({code})")


def test_the_page_says_what_came_of_each_step(tmp_path: Path) -> None:
    report = {
        "agreement": [
            {"engine": "gpu", "preset": "opencv-cuda", "difference": 1e-4, "motion": 2.0,
             "wrong": []},
        ],
        "results": [
            {"preset": "opencv-cuda", "size": "340x256", "engine": "gpu",
             "pairs_per_second": 4321.0, "times_opencv": None, "ceilings": {"FP32": 0.4}},
        ],
    }  # fmt: skip
    endless = (sys.executable, "-S", "-c", "import time; time.sleep(60)")
    steps = [
        gpu_day.DayStep("flow", "How fast?", say(json.dumps(report)), 60, gpu_day.flow_lines),
        gpu_day.DayStep("extract", "And all?", say("Traceback", 3), 60, gpu_day.extract_lines),
        gpu_day.DayStep("memcheck", "Clean?", ("no-such-tool",), 60),
        gpu_day.DayStep("racecheck", "Races?", endless, 0.2),
        gpu_day.DayStep("check", "True?", say("all holds on it"), 60),
    ]
    answers = gpu_day.perform_all(steps, tmp_path, quiet=True)
    states = [answer.state for answer in answers]
    assert states == [
        "ok",
        "FAILED (exit code 3)",
        "not possible here: no no-such-tool",
        "TOO LONG (over 0 s)",
        "ok",
    ]
    page = (tmp_path / gpu_day.PAGE).read_text()
    assert "| opencv-cuda | 340x256 | gpu | 4321 | - | FP32 40% |" in page
    assert "| extract | And all? | FAILED (exit code 3) |" in page
    assert "    Traceback" in page
    assert "    all holds on it" in page
    assert (tmp_path / "flow.txt").exists()


def test_what_no_time_is_left_for_is_left_out(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(gpu_day, "LIMIT", 0.0)
    (answer,) = gpu_day.perform_all(
        [gpu_day.DayStep("check", "True?", say("yes"), 60)], tmp_path, quiet=True
    )
    assert answer.state == "not possible here: the time is up"


def test_lines_of_each_report() -> None:
    feed = {
        "own_ms": 2.0, "own_cost_ms": {"decode": 0.5, "code": 1.5}, "cores_for_3000": 6.25,
        "results": [{"workers": 2, "pairs_per_second": 950.0, "ratio": 0.95}],
    }  # fmt: skip
    assert gpu_day.feed_lines(feed) == [
        "- own cost of a pair: 2.00 ms of one core (decode 0.50, code 1.50)",
        "- 2 workers: 950 pairs/s, 95% of what that allows",
        "- 3,000 pairs/s need 6.2 such cores",
    ]
    machine = {
        "gpus": [], "platform": "Linux", "python": "3.11", "machine": {"cores": 2},
        "engines": {"opencv-cuda": {"gpu": "no GPU found"}},
    }  # fmt: skip
    assert gpu_day.machine_lines(machine)[2] == "- engine gpu, opencv-cuda: no GPU found"


@pytest.mark.parametrize(("code", "state"), [(0, "ok"), (2, "FAILED (exit code 2)")])
def test_the_whole_run_fails_where_a_step_fails(
    code: int, state: str, tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [gpu_day.DayStep("check", "True?", say("yes", code), 60)]
    monkeypatch.setattr(gpu_day, "plan", lambda options: steps)
    assert gpu_day.run(gpu_day.GpuDay(tmp_path / "out", json=True, quiet=True)) == min(code, 1)
    ((row),) = json.loads(capsys.readouterr().out)
    assert (row["step"], row["state"]) == ("check", state)


def test_a_folder_with_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    with pytest.raises(UserError, match="is not empty"):
        gpu_day.run(gpu_day.GpuDay(tmp_path))
