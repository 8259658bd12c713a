"""Whole batches through the real command: nothing lost, nothing twice, nothing half."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import video_files

from flow.extraction.batch import run_batch
from flow.extraction.options import ExtractOptions
from storage.store.store import open_store

ROOT = Path(__file__).resolve().parent.parent.parent
HOW = ["--flow", "dis", "--codec", "jpeg:95", "--workers", "2", "--json"]
CHEAP = {"flow": "dis", "codec": "jpeg:95", "workers": 1}
Command = Callable[..., subprocess.CompletedProcess[str]]


def content(store: Path) -> dict[str, str]:
    """Every video -> a digest of its frames and its flow, read back whole."""
    found = {}
    with open_store(store) as opened:
        for video in opened.videos():
            meta = opened.video(video)
            digest = hashlib.sha256(opened.read_frames(video, range(meta.frames)).tobytes())
            digest.update(opened.read_flow(video, 0, meta.pairs).tobytes())
            found[video] = digest.hexdigest()
    return found


def entries(store: Path) -> int:
    """Videos over all shards, counted apart: one in two shards counts twice."""
    with open_store(store) as opened:
        total = 0
        for name in opened.shards():
            part = opened.part(name)
            with part.reading() as txn:
                total += txn.stat(part.videos)["entries"]
        return total


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return video_files.write_classes(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def whole(videos: Path, tmp_path_factory: pytest.TempPathFactory, twostream: Command) -> Path:
    """What a run that nobody disturbed makes of them."""
    out = tmp_path_factory.mktemp("whole") / "store"
    done = twostream("extract", videos, "--out", out, *HOW)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    counts = [summary[name] for name in ("found", "stored", "skipped", "failed")]
    assert counts == [10, 10, 0, 0]
    assert summary["frames"] == sum(30 + 2 * i for i in range(10))
    assert summary["pairs"] == summary["frames"] - 10
    return out


def start(videos: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scripts", "extract", str(videos), "--out", str(out), *HOW, *more],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def test_the_same_command_again_skips_everything(
    videos: Path, whole: Path, twostream: Command
) -> None:
    before = content(whole)
    done = twostream("extract", videos, "--out", whole, *HOW)
    summary = json.loads(done.stdout)
    assert (summary["stored"], summary["skipped"], done.returncode) == (0, 10, 0)
    assert content(whole) == before


def test_the_summary_adds_up_and_says_what_people_ask(
    videos: Path, tmp_path: Path, twostream: Command
) -> None:
    (tmp_path / "bad.avi").write_text("no video")
    named = [videos / "class 0", tmp_path / "bad.avi"]
    done = twostream("extract", *named, "--out", tmp_path / "s", "--flow", "dis")
    assert done.returncode == 1
    assert "5 videos found = 4 stored + 0 skipped + 1 failed" in done.stdout
    for part in (
        "pairs/s",
        "clipped",
        "coded as rest",
        "quantiser and codec together",
        "failures.json",
    ):
        assert part in done.stdout
    assert "  bad: cannot open: no video in any format that FFmpeg knows" in done.stdout
    assert "Traceback" not in done.stderr


def kill_and_resume(videos: Path, whole: Path, out: Path, seed: int) -> None:
    chance = random.Random(seed)
    rounds = 0
    while rounds < 2:
        process = start(videos, out)
        time.sleep(chance.uniform(0.05, 1.4))
        if chance.random() < 0.5:
            os.killpg(process.pid, signal.SIGKILL)  # the machine goes down
        else:
            process.kill()  # only the parent; its workers must not write on
        process.communicate()
        rounds += 1
    last = start(videos, out)
    output, errors = last.communicate(timeout=60)
    assert last.returncode == 0, errors
    summary = json.loads(output)
    assert summary["stored"] + summary["skipped"] == summary["found"] == 10
    assert content(out) == content(whole)
    assert entries(out) == 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments_and_resumed(
    videos: Path, whole: Path, tmp_path: Path, seed: int
) -> None:
    kill_and_resume(videos, whole, tmp_path / "store", seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 125))
def test_killed_at_fifty_random_moments_and_resumed(
    videos: Path, whole: Path, tmp_path: Path, seed: int
) -> None:
    kill_and_resume(videos, whole, tmp_path / "store", seed)


@pytest.fixture(scope="module")
def long_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    first = video_files.write(folder / "0.avi", video_files.moving(160, 96, 128))
    for i in range(1, 6):
        shutil.copy(first, folder / f"{i}.avi")
    return folder


def wait_for(process: subprocess.Popen[str], out: Path, videos: int) -> None:
    """Until the store holds some videos."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (out / "store.json").exists() and len(open_store(out)) >= videos:
            return
        time.sleep(0.02)
    raise AssertionError(f"the run ended too early: {process.communicate()}")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_ctrl_c_finishes_what_is_in_hand_and_says_how_to_go_on(
    long_videos: Path, tmp_path: Path, number: int
) -> None:
    out = tmp_path / "store"
    process = start(long_videos, out)
    wait_for(process, out, 1)
    os.killpg(process.pid, number)  # as a terminal does: to everybody in the foreground
    output, errors = process.communicate(timeout=60)
    summary = json.loads(output)
    assert process.returncode == 130
    assert "the videos in hand are finished" in errors
    assert "Traceback" not in errors
    assert 1 < summary["stored"] < 6
    assert summary["failed"] == 0
    assert summary["left"] == 6 - summary["stored"]
    assert summary["stopped"] == "interrupted"
    assert len(open_store(out)) == summary["stored"]
    again, errors = start(long_videos, out).communicate(timeout=60)
    assert json.loads(again)["skipped"] == summary["stored"], errors


def test_ctrl_c_twice_drops_what_is_in_hand(long_videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    process = start(long_videos, out)
    wait_for(process, out, 1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr is not None
    for line in process.stderr:
        if "Ctrl-C again" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from here" in errors
    assert "Traceback" not in errors


def test_a_worker_that_dies_is_replaced_and_its_video_done(
    long_videos: Path, tmp_path: Path
) -> None:
    import psutil

    out = tmp_path / "store"
    process = start(long_videos, out)
    wait_for(process, out, 1)
    children = [
        child
        for child in psutil.Process(process.pid).children()
        if "spawn_main" in " ".join(child.cmdline())
    ]
    assert len(children) == 2
    children[0].kill()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert json.loads(output)["stored"] == 6
    assert len(set(content(out).values())) == 1  # copies of one video


def test_a_video_that_kills_its_worker_is_a_failure_like_others(
    videos: Path, tmp_path: Path, twostream: Command
) -> None:
    poison = video_files.poison(tmp_path / "site", "v.4")
    path = os.pathsep.join([str(poison), str(ROOT)])
    done = twostream(
        "extract", videos / "class 1", "--out", tmp_path / "s", *HOW, env={"PYTHONPATH": path}
    )
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["stored"], summary["failed"], summary["left"]) == (2, 1, 0)
    assert summary["failures"][0]["reason"] == "worker died: SIGKILL (out of memory?), 2 times"


def test_shards_together_do_everything_once(videos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    parts = [
        run_batch(ExtractOptions((str(videos),), str(out), shard=f"{i}/3", **CHEAP), quiet=True)
        for i in (1, 2, 3)
    ]
    assert sum(part.stored for part in parts) == sum(part.found for part in parts) == 10
    assert content(out) == content(whole)


@pytest.mark.slow
def test_odd_clips(shared_data: Path, tmp_path: Path, twostream: Command) -> None:
    done = twostream(
        "extract", shared_data / "clips" / "odd", "--out", tmp_path / "s", *HOW, "--short-side", 64
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["stored"], summary["frames"]) == (6, 744)


@pytest.fixture(autouse=True)
def signals_are_put_back() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before
