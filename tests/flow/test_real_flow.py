"""Flow on real clips: every engine beside the definition, the definition beside OpenCV."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from engine_table import FAST, Engine
from numpy.typing import NDArray

from flow import cpu, opencv, reference
from flow.bench_material import Material, from_clips, from_truth
from flow.params import TVL1

OPENCV_CPU = TVL1.preset("opencv-cpu")
KNOWN_ERRORS = {"Dimetrodon": 0.181, "Grove2": 0.158, "RubberWhale": 0.157, "Venus": 0.308}
"""End-point errors of OpenCV's CPU version, pixels, measured by others."""


@cache
def clips(most: int) -> list[Material]:
    return list(from_clips(SHARED / "clips" / "ucf101", 1, most))


@cache
def expected(index: int, most: int, params: TVL1) -> NDArray[np.float32]:
    return reference.compute(clips(most)[index].frames, params)[0]


def differences(engine: Engine, most: int) -> tuple[float, float]:
    """Mean difference to the reference over the clips, and the reference's mean motion."""
    found = []
    for index, clip in enumerate(clips(most)):
        truth = expected(index, most, engine.preset)
        flow = engine.compute(clip.frames, engine.preset)[0]
        found.append((np.hypot(*(flow - truth)).mean(), np.hypot(*truth).mean()))
    difference, motion = np.mean(found, axis=0)
    return float(difference), float(motion)


@pytest.mark.parametrize("engine", FAST, ids=str)
def test_an_engine_gives_the_flow_of_the_reference(engine: Engine, shared_data: Path) -> None:
    """Over clips together: on single ones with much motion the definition itself, computed with
    float64 instead of float32, moves by more than this, for the stopping rule amplifies rounding.
    """
    difference, motion = differences(engine, 4)
    assert difference <= 0.01 + 0.005 * motion


@pytest.mark.slow
@pytest.mark.parametrize("engine", [e for e in FAST if e.name == "cpu"], ids=str)
def test_the_cpu_engine_gives_the_flow_of_the_reference_on_all_clips(
    engine: Engine, shared_data: Path
) -> None:
    difference, motion = differences(engine, 63)
    assert difference <= 0.01 + 0.005 * motion


@pytest.mark.slow
def test_opencv_cpu_is_opencv(shared_data: Path) -> None:
    found = []
    for clip in clips(20):
        theirs = opencv.compute(clip.frames, OPENCV_CPU)[0]
        ours = cpu.compute(clip.frames, OPENCV_CPU)[0]
        found.append((np.hypot(*(ours - theirs)).mean(), np.hypot(*theirs).mean()))
    difference, motion = np.mean(found, axis=0)
    assert difference <= 0.02 + 0.01 * motion


def test_middlebury_error_is_as_published(shared_data: Path) -> None:
    for material in from_truth(shared_data / "flow_truth"):
        error = material.error(cpu.compute(material.frames, OPENCV_CPU)[0])
        assert error == pytest.approx(KNOWN_ERRORS[material.name], rel=0.02)


@pytest.mark.slow
def test_middlebury_error_is_opencvs(shared_data: Path) -> None:
    for material in from_truth(shared_data / "flow_truth"):
        theirs = material.error(opencv.compute(material.frames, OPENCV_CPU)[0])
        ours = material.error(cpu.compute(material.frames, OPENCV_CPU)[0])
        assert ours == pytest.approx(theirs, rel=0.01)
