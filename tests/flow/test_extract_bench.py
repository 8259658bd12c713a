"""`twostream bench extract`: what it says on the way, and what it leaves out to end in time."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from flow.extraction import Recipe
from scripts.bench import extract, progress


def test_the_forecast_is_what_is_left_at_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watch = progress.Progress("bench", 200, quiet=True)
    now[0] = 10
    assert watch.text(10) == "bench: getting ready, after 10.0 s"
    watch.start(200)
    watch.add(50)
    assert watch.text(40) == "bench: 25% after 40.0 s, about 1 min 30 s to go"
    assert watch.text(150) == "bench: 25% after 2 min 30 s, about 50.0 s to go"
    watch.skip(100)
    assert watch.text(40) == "bench: 50% after 40.0 s, about 30.0 s to go"


def test_a_line_comes_on_stderr_though_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.01)
    with progress.Progress("bench", 200):
        time.sleep(0.1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bench: getting ready, after")
    assert captured.err.endswith("\n")


@pytest.mark.parametrize(
    ("pairs", "count"), [(0, 1), (99, 1), (300, 2), (301, 2), (599, 2), (600, 3), (1e9, 3)]
)
def test_as_many_videos_are_used_as_there_is_time_for(pairs: float, count: int) -> None:
    assert extract.fitting([100, 200, 300], pairs) == count


def test_no_round_begins_that_would_end_too_late(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(extract, "Pool", lambda *_: pytest.MonkeyPatch.context())
    monkeypatch.setattr(extract, "engine_processes", lambda *_: pytest.MonkeyPatch.context())
    monkeypatch.setattr(extract, "environments", lambda *_: [{}])
    monkeypatch.setattr(extract, "open_store", lambda *_: SimpleNamespace(close=lambda: None))

    passes: list[str] = []

    def run_pass(self: extract.SideBySide, pool: object, what: str) -> tuple[float, float]:
        now[0] += 10
        self.pairs = 100
        passes.append(what)
        return 10.0, 9.0

    monkeypatch.setattr(extract.SideBySide, "run_pass", run_pass)
    watch = progress.Progress("bench", 200, quiet=True)
    watch.start(1200)
    bench = extract.SideBySide(1, ("a",), Recipe(), tmp_path, watch)  # type: ignore[arg-type]
    assert bench.measure(5, until=95)["ratio"] == 1
    assert passes.count("engine") == 1 + 3
    assert watch.total == 1200 - 2 * 2 * 100
    bench.measure(5, until=0)
    assert passes.count("engine") == 4 + 2
