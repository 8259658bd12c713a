"""Engines by name: what `auto` takes and says, and what is refused."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import numpy as np
import pytest

import flow
from flow.tvl1 import compute
from flow.tvl1.params import TVL1
from storage.errors import UserError

FRAMES = np.zeros((3, 20, 30), np.uint8)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """quick does not work here, steady does and takes threads, broken cannot be imported."""

    def module(name: str, state: str) -> None:
        engine = ModuleType(f"flow.fake_{name}")
        engine.__spec__ = object()  # type: ignore[assignment]
        engine.status = lambda params: state  # type: ignore[attr-defined]

        def run(frames: np.ndarray, params: TVL1, threads: int = 1) -> np.ndarray:
            return np.full((len(frames) - 1, 2, *frames.shape[1:]), threads, np.float32)

        engine.compute = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, engine.__name__, engine)

    module("quick", "no device")
    module("steady", "ok")
    table = {
        "missing": "flow.fake_missing",
        "quick": "flow.fake_quick",
        "steady": "flow.fake_steady",
        "reference": "flow.tvl1.reference",
    }
    monkeypatch.setattr(compute, "ENGINES", table)
    monkeypatch.setattr(compute, "_logged", set())


@pytest.mark.usefixtures("engines")
def test_auto_takes_the_first_that_works_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert compute.choose_engine() == "steady"
    assert [record.message for record in caplog.records] == [
        "flow engine: steady; not missing: not part of this installation; not quick: no device"
    ]


@pytest.mark.usefixtures("engines")
def test_every_engine_says_whether_it_works() -> None:
    assert flow.engines() == {
        "missing": "not part of this installation",
        "quick": "no device",
        "steady": "ok",
        "reference": "ok",
    }


@pytest.mark.usefixtures("engines")
def test_threads_reach_the_engine() -> None:
    assert (flow.compute_flow(FRAMES, engine="steady", threads=3) == 3).all()
    assert not flow.compute_flow(FRAMES, engine="reference", threads=3).any()


@pytest.mark.usefixtures("engines")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "quick"}, "'quick' does not work here: no device"),
        ({"engine": "turbo"}, "no flow engine 'turbo'; choose auto, missing, quick"),
        ({"threads": 0}, "threads is 0"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        flow.compute_flow(FRAMES, **options)  # type: ignore[arg-type]


def test_the_engine_table_names_modules_that_are_there() -> None:
    assert list(compute.ENGINES) == ["gpu", "cpu", "opencv", "reference"]
    states = flow.engines()
    assert states["cpu"] == states["reference"] == "ok"
