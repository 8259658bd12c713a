"""`twostream bench flow`: equality first, figures that add up, mistakes in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from surroundings import ROOT

from flow.tvl1 import reference
from flow.tvl1.params import TVL1
from scripts.bench import flow as bench
from scripts.bench import flow_measure as bench_measure
from scripts.bench.flow_material import Material, draw_motion, from_truth, lengthen
from storage.errors import UserError, WorkFailed

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_figures_as_json(twostream: Run) -> None:
    done = twostream("bench", "flow", "--sizes", "24x20", "--rounds", "1", "--check", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for row in found["results"]:
        assert row["pairs_per_second"] == pytest.approx(1 / row["seconds"])
        if row["engine"] != "gpu":
            ns = row["seconds"] * 1e9 / row["iterations"]
            assert row["ns_per_pixel_iteration"] == pytest.approx(ns)
    cpu, opencv = (
        next(r for r in found["results"] if r["engine"] == e and r["preset"] == "opencv-cpu")
        for e in ("cpu", "opencv")
    )
    assert cpu["times_opencv"] == pytest.approx(opencv["seconds"] / cpu["seconds"])
    assert opencv["times_opencv"] == 1
    assert not any(row["wrong"] for row in found["agreement"])


def test_an_engine_that_disagrees_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def off(frames: np.ndarray, params: TVL1) -> np.ndarray:
        return reference.compute(frames, params) + np.float32(0.1)

    monkeypatch.setattr(bench, "load_engine", lambda name: SimpleNamespace(compute=off))
    monkeypatch.setattr(bench, "measure_engines", lambda *_: [])
    monkeypatch.setattr(bench, "flow_table", lambda *_: "")
    monkeypatch.setattr(bench, "engines_for", lambda *_: ["cpu"])
    options = bench.FlowBench(preset="opencv-cuda", sizes=("24x20",), quiet=True)
    with pytest.raises(WorkFailed, match="cpu does not give the flow of opencv-cuda"):
        bench.run(options)


def test_what_the_reference_itself_does_not_hold_is_no_fault() -> None:
    unrelated = np.random.default_rng(3).integers(0, 255, (2, 90, 120), dtype=np.uint8)
    material = Material("unrelated", unrelated)
    params = TVL1.preset("opencv-cuda")
    drift = bench_measure.own_drift(material, params)
    assert drift > bench_measure.allowed_difference("cpu", 0)

    def found(by: float) -> bench_measure.Agreement:
        shifted = bench_measure.reference_flow(material, params) + np.array([by, 0])[:, None, None]
        return bench_measure.agreement(
            lambda frames, params: shifted[None], "cpu", "opencv-cuda", params, [material]
        )

    motion = found(0).motion
    assert found(0).unstable == found(0).wrong == ()
    beyond = max(2 * drift, bench_measure.allowed_difference("cpu", motion)) * 1.01
    assert found(beyond).wrong == ("unrelated",)


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "turbo"},
        {"preset": "brox"},
        {"rounds": 0},
        {"threads": 0},
        {"sizes": ("320",)},
        {"clips": Path("no such folder")},
    ],
    ids=str,
)
def test_mistakes(options: dict[str, object]) -> None:
    with pytest.raises(UserError):
        bench.run(bench.FlowBench(**options))  # type: ignore[arg-type]


def test_empty_folders_are_named(tmp_path: Path) -> None:
    for options in ({"clips": tmp_path}, {"truth": tmp_path}):
        with pytest.raises(UserError, match=str(tmp_path)):
            bench.run(bench.FlowBench(**options, quiet=True))


def test_drawn_motion_is_what_it_says() -> None:
    material = draw_motion(64, 96)
    flow = reference.compute(material.frames[:2], TVL1())[0]
    corner = flow[:, 4:12, 4:12].mean(axis=(1, 2))
    assert corner == pytest.approx([1.5, 0.6], abs=0.1)


def test_lengthening_goes_forth_and_back() -> None:
    frames = np.arange(3, dtype=np.uint8)[:, None, None]
    assert lengthen(frames, 7).ravel().tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert lengthen(frames, 2) is frames


def test_truth_is_read_with_its_unknown_pixels(tmp_path: Path) -> None:
    import cv2

    for number in (10, 11):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((3, 2), number, np.uint8))
    flow = np.zeros((3, 2, 2), np.float32)
    flow[0, 0], flow[2, 1] = 1e10, (3, 4)
    head = b"PIEH" + np.array([2, 3], "<i4").tobytes()
    (tmp_path / "flow10.flo").write_bytes(head + flow.tobytes())
    (material,) = from_truth(tmp_path)
    assert material.frames[:, 0, 0].tolist() == [10, 11]
    assert material.error(np.zeros((2, 3, 2), np.float32)) == pytest.approx(5 / 5)


def test_the_gpu_bench_starts_without_numba_opencv_and_lmdb() -> None:
    code = (
        "import sys\n"
        "for name in ('cv2', 'numba', 'lmdb', 'av'): sys.modules[name] = None\n"
        "from scripts.bench.command import main\n"
        "sys.exit(main(['flow', '--engine', 'reference', '--sizes', '20x20', '--check',\n"
        "               '--rounds', '1', '--preset', 'opencv-cuda']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "reference" in done.stdout
