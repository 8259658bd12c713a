"""`twostream doctor`: what is here, what is not, and the remedy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from surroundings import ROOT

from flow.tvl1.compute import ENGINES
from scripts import doctor
from scripts.health import findings

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return findings.examine()


def remedies(report: dict[str, Any]) -> dict[str, str]:
    return {problem["what"]: problem["remedy"] for problem in findings.problems(report)}


def test_every_dependency_is_looked_at() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {Requirement(text).name for text in project["dependencies"]}
    assert set(findings.REQUIRED.values()) == needed
    extras = set(project["optional-dependencies"]) - {"dev"}
    offered = " ".join(install for _, install in findings.OPTIONAL.values())
    assert all(f"[{extra}]" in offered for extra in extras)


def test_everything_needed_is_here(report: dict[str, Any]) -> None:
    for package in findings.REQUIRED.values():
        assert report["packages"][package]["version"], package
    assert not [problem for problem in report["problems"] if problem["stops"]]


def test_every_engine_is_there_for_both_presets(report: dict[str, Any]) -> None:
    assert set(report["engines"]) == {"opencv-cuda", "opencv-cpu"}
    for engines in report["engines"].values():
        assert list(engines) == list(ENGINES)
        assert engines["reference"] == "ok"


def test_the_machine_is_described(report: dict[str, Any]) -> None:
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["memory"] > 1e8
    assert min(report["machine"]["disk_free"].values()) > 0
    assert "libavcodec" in report["tools"]["libav in PyAV"]


def test_the_page_and_the_json_say_the_same(
    report: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "examine", lambda: report)
    assert doctor.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report
    assert doctor.main([]) == 0
    page = capsys.readouterr().out
    for package, seen in report["packages"].items():
        assert package in page
        assert (seen["version"] or seen["reason"]) in page
    for engines in report["engines"].values():
        assert all(state in page for state in engines.values())
    assert (report["torchvision_workaround"] or "needed no workaround") in page
    assert "twostream demo" in page


def test_it_works_where_most_is_missing(tmp_path: Path) -> None:
    gone = ("tyro", "torch", "torchvision", "cv2", "numba", "av", "cupy", "distributed", "lmdb")
    code = (
        f"import sys\nfor name in {gone!r}: sys.modules[name] = None\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from scripts.doctor import main\nsys.exit(main(['--json']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    stopped = {p["what"].split()[0]: p["remedy"] for p in report["problems"] if p["stops"]}
    needed = {"tyro", "torch", "torchvision", "opencv-contrib-python", "numba", "av", "lmdb"}
    assert set(stopped) >= needed
    assert all(stopped[name].startswith("pip install") for name in needed)
    assert "twostream[dask]" in report["packages"]["distributed"]["reason"]
    assert report["packages"]["numpy"]["version"]


def test_what_is_broken_becomes_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("h5py", "av", "streams.networks.torchvision_compat", "flow.tvl1.compute"):
        monkeypatch.setitem(sys.modules, module, None)
    packages = findings.look_at_packages()
    assert packages["h5py"]["version"] is None
    assert "h5py" in packages["h5py"]["reason"]
    assert findings.look_at_torchvision(packages) is None
    assert packages["torchvision"]["version"] is None
    assert findings.libav() is None
    (engines,) = findings.look_at_engines().values()
    assert "flow.tvl1.compute" in engines["every engine"]


def test_a_problem_that_stops_the_main_job_is_exit_code_1(
    report: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = dict(report["packages"]["lmdb"]) | {"version": None, "reason": "ImportError: no so"}
    ill = report | {"packages": report["packages"] | {"lmdb": broken}}
    ill["problems"] = findings.problems(ill)
    monkeypatch.setattr(findings, "examine", lambda: ill)
    assert doctor.main([]) == 1
    page = capsys.readouterr().out
    assert "MISSING: ImportError: no so" in page
    assert "problem: lmdb cannot be used" in page
    assert "    -> pip install --force-reinstall lmdb" in page
    assert "twostream demo" not in page


def test_the_options_are_read_even_without_tyro(
    report: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(findings, "examine", lambda: report)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert doctor.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report
    assert doctor.main([]) == 0
    assert capsys.readouterr().out.startswith("twostream")


@pytest.mark.parametrize(("driver", "extra"), [("550.54.15", "cuda12"), ("580.65.06", "cuda13")])
def test_an_unused_gpu_is_noted_with_the_right_extra(
    report: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str, extra: str
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho 'NVIDIA H200, 143771 MiB, {driver}, 9.0'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    gpus = findings.look_at_gpus()
    assert [gpu["name"] for gpu in gpus] == ["NVIDIA H200"]
    engines = {"opencv-cuda": {"gpu": "no CuPy", "cpu": "ok"}}
    found = remedies(report | {"gpus": gpus, "engines": engines})
    assert found == {"a GPU is here and unused: no CuPy": f"pip install 'twostream[{extra}]'"}
    page = doctor.report_text(report | {"gpus": gpus})
    assert f"NVIDIA H200, 143771 MiB, compute capability 9.0, driver {driver}" in page


def test_little_room_is_noted(report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1e9, 9e8, 64e6))
    found = remedies(report | {"machine": findings.look_at_machine()})
    assert any("0.1 GB free" in what for what in found)
    assert any("64 MB of shared memory" in what for what in found)


def test_opencv_packages_over_each_other_are_noted(
    report: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [
        SimpleNamespace(metadata={"Name": name})
        for name in ("opencv-python", "opencv-contrib-python")
    ]
    monkeypatch.setattr(findings, "distributions", lambda: both)
    (remedy,) = (text for what, text in remedies(report).items() if "opencv-python" in what)
    assert "pip uninstall opencv-contrib-python opencv-python" in remedy


def test_only_slow_engines_is_noted(report: dict[str, Any]) -> None:
    engines = {"opencv-cuda": {"gpu": "no", "cpu": "no", "reference": "ok"}}
    assert "only slow flow engines work" in remedies(report | {"engines": engines})


def test_a_program_that_fails_or_is_missing_says_nothing(tmp_path: Path) -> None:
    assert findings.first_line("no-such-program-here") is None
    assert findings.first_line("false") is None
    assert findings.first_line("echo", "hello") == "hello"
