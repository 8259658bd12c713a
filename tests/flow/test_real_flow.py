"""Flow on real clips: every engine beside the definition, the definition beside OpenCV."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from engine_table import FAST, Engine
from surroundings import SHARED

from flow.tvl1 import opencv
from flow.tvl1.cpu import engine as cpu
from flow.tvl1.params import TVL1
from scripts.bench.flow_material import Material, from_clips, from_truth
from scripts.bench.flow_measure import agreement, own_drift

OPENCV_CPU = TVL1.preset("opencv-cpu")
KNOWN_ERRORS = {"Dimetrodon": 0.181, "Grove2": 0.158, "RubberWhale": 0.157, "Venus": 0.308}
"""End-point errors of OpenCV's CPU version, pixels, measured by others."""


@cache
def clips(most: int) -> list[Material]:
    return list(from_clips(SHARED / "clips" / "ucf101", 1, most))


@cache
def calm() -> list[Material]:
    """The middles of two clips on which the reference hardly moves when it is nudged."""
    names = ("v_Hammering_g17_c05", "v_Surfing_g17_c07")
    chosen = [clip for clip in clips(16) if clip.name in names]
    assert len(chosen) == 2
    return [replace(clip, frames=clip.frames[:, 60:180, 80:240]) for clip in chosen]


@pytest.mark.slow
@pytest.mark.parametrize("engine", FAST, ids=str)
def test_an_engine_gives_the_flow_of_the_reference(engine: Engine, shared_data: Path) -> None:
    found = agreement(engine.compute, engine.name, engine.dialect, engine.preset, calm())
    assert not found.wrong
    assert len(found.unstable) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("engine", [e for e in FAST if e.name == "cpu"], ids=str)
def test_the_cpu_engine_gives_the_flow_of_the_reference_on_many_clips(
    engine: Engine, shared_data: Path
) -> None:
    found = agreement(engine.compute, engine.name, engine.dialect, engine.preset, clips(20))
    assert not found.wrong
    assert len(found.unstable) <= 10


@pytest.mark.slow
def test_opencv_cpu_is_opencv(shared_data: Path) -> None:
    stable = 0
    for clip in clips(20):
        theirs = opencv.compute(clip.frames, OPENCV_CPU)[0]
        ours = cpu.compute(clip.frames, OPENCV_CPU)[0]
        difference, motion = (float(np.hypot(*flow).mean()) for flow in (ours - theirs, theirs))
        if difference <= 0.02 + 0.01 * motion:
            stable += 1
        else:
            assert difference <= 2 * own_drift(clip, OPENCV_CPU), clip.name
    assert stable >= 12


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
