"""Worker processes that are killed, crash or hang lose one job and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from flow.extraction.pool import Event, Pool
from storage.errors import WorkFailed

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent


def act(job: str, progress: Callable[[int], object]) -> object:
    """In a worker: do as the job says."""
    word, _, rest = job.partition(" ")
    if word == "die":
        os.kill(os.getpid(), signal.Signals[rest])
    if word == "exit":
        os._exit(int(rest))
    if word == "raise":
        raise RuntimeError(rest)
    if word == "count":
        for _ in range(int(rest)):
            progress(1)
    if word == "env":
        return os.environ.get(rest)
    if word == "sleep":
        time.sleep(float(rest))
    return os.getpid() if word == "pid" else job


def run(pool: Pool, jobs: list[str]) -> list[Event]:
    waiting = deque(jobs)
    return list(pool.run(lambda: waiting.popleft() if waiting else None, act))


@pytest.fixture
def pool() -> object:
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    with Pool(2) as pool:
        yield pool


def test_every_job_ends_in_one_event_whatever_happens(pool: Pool) -> None:
    jobs = ["a", "die SIGKILL", "b", "raise why", "die SIGSEGV", "exit 3", "c", "count 3", "d"]
    events = run(pool, jobs)
    ends = {event.job: (event.kind, event.value) for event in events if event.kind != "progress"}
    assert ends == {
        "a": ("done", "a"),
        "die SIGKILL": ("died", -signal.SIGKILL),
        "b": ("done", "b"),
        "raise why": ("raised", "RuntimeError: why"),
        "die SIGSEGV": ("died", -signal.SIGSEGV),
        "exit 3": ("died", 3),
        "c": ("done", "c"),
        "count 3": ("done", "count 3"),
        "d": ("done", "d"),
    }
    assert sum(event.value for event in events if event.kind == "progress") == 3
    # and the pool works on, with processes that are used again
    assert len({event.value for event in run(pool, ["pid"] * 6)}) <= 2


def test_a_worker_killed_while_idle_is_replaced(pool: Pool) -> None:
    (event,) = run(pool, ["pid"])
    os.kill(event.value, signal.SIGKILL)
    os.waitid(os.P_PID, event.value, os.WEXITED | os.WNOWAIT)  # with all of its threads
    assert {e.kind for e in run(pool, ["a", "b", "c"])} == {"done"}


def test_ctrl_c_while_a_worker_starts_is_not_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT), str(HERE)]))
    with Pool(1) as pool:
        assert [event.kind for event in run(pool, ["a"])] == ["done"]
    assert "Traceback" not in capfd.readouterr().err
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGTERM}


def test_each_worker_has_its_environment() -> None:
    with Pool(2, [{"MY_GPU": "0"}, {"MY_GPU": "1"}]) as pool:
        first = {event.value for event in run(pool, ["env MY_GPU"] * 8)}
        run(pool, ["die SIGKILL"])
        assert first | {event.value for event in run(pool, ["env MY_GPU"] * 8)} <= {"0", "1"}


def test_workers_that_cannot_start_are_no_fault_of_the_jobs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import multiprocessing.resource_tracker
    import multiprocessing.spawn

    multiprocessing.resource_tracker.ensure_running()  # it starts by the same program
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", b"/bin/false")
    with Pool(1) as pool, pytest.raises(WorkFailed, match="die as they start"):
        run(pool, ["a", "b", "c", "d"])


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from flow.extraction.pool import Pool\n"
        "from test_pool import act\n"
        "with Pool(2) as pool:\n"
        "    jobs = ['pid', 'pid', 'sleep 60', 'sleep 60']\n"
        "    for event in pool.run(lambda: jobs.pop(0) if jobs else None, act):\n"
        "        print(event.value, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"},
    )
    assert process.stdout is not None
    workers = [psutil.Process(int(process.stdout.readline())) for _ in range(2)]
    process.kill()
    process.wait()
    process.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
