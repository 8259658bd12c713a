"""A real Dask scheduler and real workers as processes, one of them killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import video_files

from storage.store.store import open_store

pytest.importorskip("distributed")
ROOT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
ANYWHERE = ("--port", 0, "--host", "127.0.0.1", "--dashboard-address", ":0")
Command = Callable[..., subprocess.CompletedProcess[str]]


def start(*command: object, log: Path, **environment: str) -> subprocess.Popen[bytes]:
    with open(log, "wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + str(command[0]), *map(str, command[1:])],
            env=ENVIRONMENT | environment,
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def wait_for(pattern: str, log: Path, seconds: float = 60) -> re.Match[str]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{pattern!r} never came: {log.read_text(errors='replace')[-2000:]}")


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    log = tmp_path / "scheduler.log"
    process = start(
        "dask_scheduler", "--port", 0, "--host", "127.0.0.1", "--dashboard-address", ":0", log=log
    )
    try:
        yield wait_for(r"Scheduler at:\s+(tcp://\S+)", log)[1]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def worker(tmp_path: Path, scheduler: str) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start_one() -> subprocess.Popen[bytes]:
        log = tmp_path / f"worker{len(started)}.log"
        process = start(
            "dask_worker", scheduler, "--nthreads", 1, "--no-nanny", "--no-dashboard",
            "--local-directory", tmp_path, log=log,
        )  # fmt: skip
        started.append(process)
        wait_for(r"Registered to:", log)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_cluster_does_it_all_though_one_worker_is_killed(
    tmp_path: Path,
    scheduler: str,
    worker: Callable[[], subprocess.Popen[bytes]],
    twostream: Command,
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for i in range(8):
        video_files.write(videos / f"{i}.avi", video_files.moving(60, 96, 128, seed=i))
    (videos / "bad.avi").write_text("no video")
    victim, _ = worker(), worker()
    out = tmp_path / "store"
    how = ["--out", out, "--flow", "dis", "--codec", "jpeg:95", "--json"]
    run = subprocess.Popen(
        [sys.executable, "-m", "scripts", "extract", videos, *how, "--cluster", scheduler],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and run.poll() is None:
        if (out / "store.json").exists() and len(open_store(out)) >= 2:
            break
        time.sleep(0.01)
    victim.kill()
    output, errors = run.communicate(timeout=120)
    assert run.returncode == 1, errors
    summary = json.loads(output or errors)
    assert (summary["found"], summary["stored"], summary["failed"]) == (9, 8, 1)
    assert summary["failures"][0]["reason"].startswith("cannot open")

    alone = tmp_path / "alone"
    done = twostream("extract", videos, "--out", alone, *how[2:], "--workers", 1)
    assert done.returncode == 1, done.stderr
    with open_store(out) as many, open_store(alone) as one:
        assert many.videos() == one.videos() == [str(i) for i in range(8)]
        assert len(many.shards()) == 2  # one of each worker's own
        for video in one.videos():
            assert (many.read_flow(video, 0, 59) == one.read_flow(video, 0, 59)).all()

    again = twostream("extract", videos, *how, "--cluster", scheduler)
    assert json.loads(again.stdout)["skipped"] == 8


def test_no_scheduler_and_no_workers_are_mistakes(
    tmp_path: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flow.extraction import cluster
    from flow.extraction.batch import run_batch
    from flow.extraction.options import ExtractOptions
    from storage.errors import UserError

    monkeypatch.setattr(cluster, "PATIENCE", "1s")
    video = video_files.write(tmp_path / "a.avi", video_files.moving(4))
    for address, says in [
        (scheduler, "has no workers"),
        ("tcp://127.0.0.1:9", "no Dask scheduler"),
    ]:
        options = ExtractOptions((str(video),), str(tmp_path / "s"), flow="dis", cluster=address)
        with pytest.raises(UserError, match=says):
            run_batch(options, quiet=True)


@pytest.mark.parametrize("address", ["localhost", "tcp://head", "tcp://head:", "head:8786/x"])
def test_an_address_without_a_port_is_a_mistake(tmp_path: Path, address: str) -> None:
    from flow.extraction.batch import run_batch
    from flow.extraction.options import ExtractOptions
    from storage.errors import UserError

    video = video_files.write(tmp_path / "a.avi", video_files.moving(4))
    options = ExtractOptions((str(video),), str(tmp_path / "s"), flow="dis", cluster=address)
    with pytest.raises(UserError, match="no address with a port"):
        run_batch(options, quiet=True)


@pytest.mark.slow
def test_a_video_that_kills_every_worker_is_a_failure_like_others(
    tmp_path: Path, twostream: Command
) -> None:
    for i in range(4):
        video_files.write(tmp_path / f"{i}.avi", video_files.moving(10, seed=i))
    path = os.pathsep.join([str(video_files.poison(tmp_path / "site", "2")), str(ROOT)])
    allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1", "PYTHONPATH": path}
    log = tmp_path / "scheduler.log"
    scheduler = start("dask_scheduler", *ANYWHERE, log=log, **allowed)
    workers = None
    try:
        address = wait_for(r"Scheduler at:\s+(tcp://\S+)", log)[1]
        how = ["--nthreads", 1, "--nworkers", 2, "--no-dashboard", "--local-directory", tmp_path]
        workers = start("dask_worker", address, *how, log=tmp_path / "w.log", **allowed)
        wait_for(r"Registered to:", tmp_path / "w.log")
        out = tmp_path / "store"
        done = twostream(
            "extract", tmp_path, "--out", out, "--flow", "dis", "--json", "--cluster", address
        )
        summary = json.loads(done.stdout or done.stderr)
        assert (summary["stored"], summary["failed"], summary["left"]) == (3, 1, 0)
        assert summary["failures"][0]["reason"] == "worker died: every worker that tried it"
    finally:
        for process in (workers, scheduler):
            if process is not None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
