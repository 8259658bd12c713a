"""Estimates are of the real work, and totals are known before it begins."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import video_files

from flow.algorithms.table import algorithm
from flow.extraction import cluster, pace
from flow.extraction.batch import run_batch
from flow.extraction.estimate import MOST_PAIRS, SHARE, pairs_each, samples, say
from flow.extraction.extract import Picture, Source
from flow.extraction.options import ExtractOptions
from flow.extraction.plan import Plan, Task
from flow.extraction.progress import RunProgress, Stop
from flow.extraction.recipe import Recipe
from flow.extraction.summary import DRY_RUN, Summary
from flow.extraction.worker import Outcome

RECIPE = Recipe(flow=algorithm("dis"), codec="raw", frame_codec="raw")


def tasks_of(*frames: int) -> list[Task]:
    return [Task(f"v{i}", f"v{i}.avi", f"v{i}.avi", 1000, frames=n) for i, n in enumerate(frames)]


def written(folder: Path, frames: int = 12) -> Task:
    path = video_files.write(folder / "v.avi", video_files.moving(frames))
    return Task("v", str(path), path.name, path.stat().st_size, frames=frames)


@pytest.mark.parametrize("slow", ["decoding", "coding", "frames"])
def test_every_part_of_the_work_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """A part that takes 30 ms a frame longer makes a frame that much longer."""
    task = written(tmp_path)

    class Slow:
        def encode(self, item: object) -> bytes:
            time.sleep(0.03)
            return b""

    class SlowSource(Source):
        def pictures(self) -> Iterator[Picture]:
            for picture in super().pictures():
                time.sleep(0.03)
                yield picture

    part: dict[str, tuple[str, Any]] = {
        "decoding": ("Source", SlowSource),
        "coding": ("flow_codec", lambda *_: Slow()),
        "frames": ("frame_codec", lambda *_: Slow()),
    }
    monkeypatch.setattr(pace, *part[slow])
    ((frames, seconds),) = pace.seconds_per_frame([task], RECIPE, 4, cores=2.0)
    assert frames == 12
    assert seconds >= 0.03


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "bad.avi").write_text("no video")
    bad = Task("bad", str(tmp_path / "bad.avi"), "bad.avi", 8, frames=10)
    assert pace.seconds_per_frame([bad], RECIPE, 4, cores=1.0) == []
    assert len(pace.seconds_per_frame([bad, written(tmp_path)], RECIPE, 4, cores=1.0)) == 1


def test_samples_are_spread_over_the_lengths_and_few_of_a_short_run() -> None:
    tasks = tasks_of(*range(100, 0, -1))
    groups = samples(tasks, workers=2)
    chosen = sorted(task.frames for group in groups for task in group)
    assert [len(group) for group in groups] == [3, 3]
    assert chosen[0] < 20
    assert chosen[-1] > 80
    assert pairs_each(tasks, groups) == MOST_PAIRS
    few = tasks_of(40, 20)
    assert sum(map(len, samples(few, 4))) == 2
    assert pairs_each(few, samples(few, 4)) == 2
    assert 0 < SHARE < 0.1
    assert samples(tasks_of(0, 0), 2) == []


def test_long_videos_count_for_more() -> None:
    assert say(tasks_of(900, 100), [(900, 1.0), (100, 2.0)], 2) == pytest.approx(550)
    assert say(tasks_of(900, 100), [], 2) is None


def test_a_short_run_gets_an_estimate_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(tmp_path)
    caplog.set_level(logging.INFO, "flow")
    options = ExtractOptions((str(tmp_path),), str(tmp_path / "s"), flow="dis", workers=1)
    run_batch(options, quiet=True)
    (line,) = [text for text in caplog.messages if "roughly" in text]
    assert line.startswith("about 12 pairs; 1 at once, ")
    assert "decoding and coding included" in line


class Client:
    """A cluster that does the work at once, and loses every second job where asked to."""

    def __init__(self, loses: bool = False) -> None:
        self.loses, self.count = loses, 0

    def submit(self, function: Callable[..., Any], *arguments: Any, pure: bool) -> Any:
        self.count += 1
        lost = self.loses and self.count % 2 == 1

        class Future:
            def result(self) -> Any:
                if lost:
                    raise RuntimeError("KilledWorker")
                return function(*arguments)

        return Future()

    def nthreads(self) -> dict[str, int]:
        return {"a": 1, "b": 1}


def test_a_cluster_knows_its_total_before_the_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flow")
    task = written(tmp_path)
    planned = [replace(task, frames=0)]  # nobody has looked into the file yet
    (known,) = cluster.look_ahead(Client(), planned, RECIPE)
    assert known.frames == 12
    assert "2 at once" in caplog.text
    (unknown,) = cluster.look_ahead(Client(loses=True), planned, RECIPE)
    assert unknown.frames == 0


def test_a_dry_run_on_a_cluster_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate has started engines there."""
    distributed = pytest.importorskip("distributed")
    closed: list[object] = []

    class Scheduler(Client):
        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None: ...

        def wait_for_workers(self, count: int, timeout: str) -> None: ...

        def run(self, function: object) -> None:
            closed.append(function)

    monkeypatch.setattr(distributed, "Client", lambda *_, **__: Scheduler())
    options = ExtractOptions(("x",), str(tmp_path), flow="dis", cluster="a:1", dry_run=True)
    stop, plan = Stop(), Plan(1, [written(tmp_path)])
    cluster.run_on_cluster(options, RECIPE, plan, Summary("s", found=1), stop, quiet=True)
    assert stop.why == DRY_RUN
    assert closed == [cluster.close_worker, cluster.close_own_engine]


def test_the_total_never_grows(tmp_path: Path) -> None:
    """Whatever headers promise; where none promises anything there is no total."""
    options = ExtractOptions(("x",), str(tmp_path), flow="dis")
    for frames, total in (((11, 21), 30), ((0, 0), None)):
        tasks = tasks_of(*frames)
        with RunProgress(tasks, Summary("s", found=2), options, Stop(), quiet=True) as progress:
            bar = progress._bar
            assert bar.total == total
            progress.settle(tasks[0], Outcome("v0", "stored", 16, 15))  # 5 more than promised
            assert bar.total == total
            progress.settle(tasks[1], Outcome("v1", "failed", kind="x", reason="x"))
            assert bar.total == (10 if total else None)
