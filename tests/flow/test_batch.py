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
from typing import Any

import pytest
import video_files

from flow.algorithms import algorithm
from flow.batch import run_batch
from flow.failures import read_failures
from flow.plan import Shard
from flow.recipe import Recipe
from flow.request import Batch
from storage.errors import UserError
from storage.store import open_store

ROOT = Path(__file__).resolve().parent.parent.parent
HOW = ["--flow", "dis", "--codec", "jpeg:95", "--workers", "2", "--json"]
CHEAP = Recipe(flow=algorithm("dis"), codec="jpeg:95")
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
            part = opened._shard(name)
            with part.reading() as txn:
                total += txn.stat(part.videos)["entries"]
        return total


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for i in range(10):
        path = folder / f"class {i % 3}" / f"v.{i}.avi"
        path.parent.mkdir(exist_ok=True)
        video_files.write(path, video_files.moving(30 + 2 * i, 48, 64, seed=i))
    return folder


@pytest.fixture(scope="module")
def whole(videos: Path, tmp_path_factory: pytest.TempPathFactory, twostream: Command) -> Path:
    """What a run that nobody disturbed makes of them."""
    out = tmp_path_factory.mktemp("whole") / "store"
    done = twostream("extract", videos, "--out", out, *HOW)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["found"], told["stored"], told["skipped"], told["failed"]) == (10, 10, 0, 0)
    assert told["frames"] == sum(30 + 2 * i for i in range(10))
    assert told["pairs"] == told["frames"] - 10
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
    told = json.loads(done.stdout)
    assert (told["stored"], told["skipped"], done.returncode) == (0, 10, 0)
    assert content(whole) == before


def test_the_summary_adds_up_and_says_what_people_ask(
    videos: Path, tmp_path: Path, twostream: Command
) -> None:
    (tmp_path / "bad.avi").write_text("no video")
    named = [videos / "class 0", tmp_path / "bad.avi"]
    done = twostream("extract", *named, "--out", tmp_path / "s", "--flow", "dis")
    assert done.returncode == 1
    assert "5 videos found = 4 stored + 0 skipped + 1 failed" in done.stdout
    for part in ("pairs/s", "clipped", "coded as rest", "quantisation error", "failures.json"):
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
    told, errors = last.communicate(timeout=60)
    assert last.returncode == 0, errors
    summary = json.loads(told)
    assert summary["stored"] + summary["skipped"] == summary["found"] == 10
    assert content(out) == content(whole)
    assert entries(out) == 10


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_what_is_in_hand_and_says_how_to_go_on(
    long_videos: Path, tmp_path: Path, number: int
) -> None:
    out = tmp_path / "store"
    process = start(long_videos, out)
    wait_for(process, out, 1)
    os.killpg(process.pid, number)  # as a terminal does: to everybody in the foreground
    told, errors = process.communicate(timeout=60)
    summary = json.loads(told)
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
    told, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert json.loads(told)["stored"] == 6
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
    told = json.loads(done.stdout)
    assert (told["stored"], told["failed"], told["left"]) == (2, 1, 0)
    assert told["failures"][0]["reason"] == "worker died: SIGKILL (out of memory?), 2 times"


def run(videos: Path | list[Path], out: Path, **how: Any) -> Any:
    named = videos if isinstance(videos, list) else [videos]
    options = {"recipe": CHEAP, "workers": 1, "quiet": True} | how
    return run_batch(Batch([str(v) for v in named], str(out), **options))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One good video, and five that are not."""
    folder = tmp_path_factory.mktemp("mixed")
    good = video_files.write(
        folder / "good.avi", video_files.moving(20), codec="mjpeg", pixels="yuvj420p"
    )
    (folder / "half.avi").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (folder / "empty.avi").write_bytes(b"")
    (folder / "text.avi").write_text("hello\n" * 100)
    video_files.write(folder / "one.avi", video_files.moving(1))
    video_files.write_audio(folder / "sound.wav").rename(folder / "sound.mkv")
    (folder / "gone.avi").symlink_to("nowhere.avi")
    return folder


REASONS = {
    "empty": "cannot open: the file is empty (0 bytes)",
    "gone": "cannot open: No such file or directory",
    "half": "truncated at frame ",
    "one": "fewer than 2 frames: 1 decoded; step 1 needs 2",
    "sound": "no video stream: the file holds audio",
    "text": "cannot open: no video in any format that FFmpeg knows",
}


def test_every_failure_has_its_reason_and_stops_nothing(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    summary = run(mixed, out)
    assert (summary.found, summary.stored, summary.skipped, summary.failed) == (7, 1, 0, 6)
    told = {failure.video: failure.reason for failure in read_failures(out)}
    assert told.keys() == REASONS.keys()
    for video, reason in REASONS.items():
        assert told[video].startswith(reason)
    again = run(mixed, out)
    assert (again.stored, again.skipped, again.failed) == (0, 1, 6)


def test_partial_keeps_what_can_be_decoded(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    summary = run(mixed, out, on_error="partial")
    assert (summary.stored, summary.partial, summary.failed) == (2, 1, 5)
    with open_store(out) as store:
        assert 5 < store.video("half").pairs < 15
        assert store.video("half").source["faults"][0].startswith("truncated at frame ")
    (entry,) = [f for f in read_failures(out) if f.partial]
    assert entry.video == "half"


def test_stop_ends_at_the_first_failure(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    for i in range(4):
        shutil.copy(mixed / "good.avi", tmp_path / "v" / f"{i}.avi")
    bad = video_files.write(tmp_path / "v" / "bad.avi", video_files.moving(40))
    bad.write_bytes(bad.read_bytes()[:-9000])  # its headers promise most, so it comes first
    summary = run(tmp_path / "v", tmp_path / "store", on_error="stop")
    assert summary.failed == 1
    assert summary.left > 0
    assert "bad: truncated at frame" in summary.stopped


def test_a_failure_that_is_mended_is_forgotten(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    shutil.copy(mixed / "half.avi", tmp_path / "v" / "a.avi")
    run(tmp_path / "v", tmp_path / "store")
    assert len(read_failures(tmp_path / "store")) == 1
    shutil.copy(mixed / "good.avi", tmp_path / "v" / "a.avi")
    assert run(tmp_path / "v", tmp_path / "store").stored == 1
    assert read_failures(tmp_path / "store") == []


def test_a_changed_source_is_refused_or_done_again(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    out = tmp_path / "store"
    shutil.copy(mixed / "good.avi", tmp_path / "v" / "a.avi")
    assert run(tmp_path / "v", out).stored == 1
    video_files.write(tmp_path / "v" / "a.avi", video_files.moving(25))
    refused = run(tmp_path / "v", out)
    assert refused.failures[0].kind == "source changed"
    assert open_store(out).video("a").frames == 20
    whole = (tmp_path / "v" / "a.avi").read_bytes()
    (tmp_path / "v" / "a.avi").write_bytes(whole[:-2000])  # it is being copied, say
    assert run(tmp_path / "v", out, redo_changed=True).failed == 1
    assert open_store(out).video("a").frames == 20
    (tmp_path / "v" / "a.avi").write_bytes(whole)
    assert run(tmp_path / "v", out, redo_changed=True).stored == 1
    assert open_store(out).video("a").frames == 25
    assert read_failures(out) == []


def test_other_parameters_are_refused(mixed: Path, tmp_path: Path, twostream: Command) -> None:
    run(mixed / "good.avi", tmp_path / "store")
    done = twostream("extract", mixed / "good.avi", "--out", tmp_path / "store", "--step", "2")
    assert done.returncode == 2
    assert "step: the store has 1, asked for 2" in done.stderr
    assert "algorithm: the store has 'dis', asked for 'tvl1'" in done.stderr


def test_shards_together_do_everything_once(videos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    parts = [run(videos, out, shard=Shard(i, 3)) for i in (1, 2, 3)]
    assert sum(part.stored for part in parts) == sum(part.found for part in parts) == 10
    assert content(out) == content(whole)


def test_a_dry_run_writes_nothing(videos: Path, tmp_path: Path) -> None:
    summary = run(videos, tmp_path / "store", dry_run=True)
    assert (summary.found, summary.left) == (10, 10)
    assert not (tmp_path / "store").exists()


def test_a_disk_that_cannot_be_written_ends_the_run(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    run(videos / "class 0", out)
    shutil.rmtree(out / "shards")
    summary = run(videos / "class 1", out)
    assert summary.stored == summary.failed == 0
    assert summary.left == 3
    assert "cannot be written" in summary.stopped


@pytest.mark.parametrize("known", [True, False], ids=["found at once", "found by a worker"])
def test_a_disk_too_full_for_failures_ends_the_run_with_its_summary(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    write = Path.write_text

    def full(path: Path, text: str, **how: Any) -> int:
        if path.name.startswith(".failures.json."):
            write(path, "")
            raise OSError(28, "No space left on device")
        return write(path, text, **how)

    monkeypatch.setattr(Path, "write_text", full)
    out = tmp_path / "store"
    summary = run(mixed / ("gone.avi" if known else "text.avi"), out)
    assert (summary.found, summary.failed) == (1, 1)
    assert "failures.json cannot be written: No space left" in summary.stopped
    assert {path.name for path in out.iterdir()} <= {"store.json", "shards", ".failures.json.lock"}


def test_nothing_is_written_into_a_store_that_is_whole(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    run(videos / "class 0", out)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    summary = run(videos / "class 0", out)  # it may lie on a read-only medium
    assert (summary.stored, summary.skipped, summary.stopped) == (0, 4, "")
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert not (out / ".failures.json.lock").exists()


def test_a_hostile_list_writes_nothing_outside(videos: Path, tmp_path: Path) -> None:
    good = next(videos.rglob("*.avi"))
    shutil.copy(good, tmp_path / "out.avi")
    (tmp_path / "in").mkdir()
    lines = ["../out.avi", "../../../../etc/passwd", str(good), "/dev/zero", "$(touch x).avi", ".."]
    (tmp_path / "in" / "list.txt").write_text("\n".join(lines))
    before = set(tmp_path.rglob("*"))
    summary = run(tmp_path / "in" / "list.txt", tmp_path / "store")
    assert (summary.found, summary.stored) == (6, 2)
    after = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path / "store") for path in after)
    assert open_store(tmp_path / "store").videos() == sorted(
        ["out", "/".join(p for p in os.path.relpath(good, tmp_path / "in").split("/") if p != "..")
         .removesuffix(".avi")]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no videos named"),
        (["nowhere/"], "is no file, no folder"),
        ([".", "--shard", "9/8"], "--shard"),
        ([".", "--size", "big"], "WIDTHxHEIGHT"),
        ([".", "--size", "64x64", "--short-side", "64"], "not both"),
        ([".", "--workers", "0"], "--workers"),
        ([".", "--flow", "farneback", "--preset", "fast"], "--preset"),
        ([".", "--flow", "dis", "--engine", "gpu"], "--engine"),
        ([".", "--preset", "matlab"], "preset"),
        ([".", "--fps", "-1"], "fps"),
        ([".", "--codec", "mp3"], "codec"),
    ],
)
def test_mistakes_are_one_line(
    videos: Path,
    tmp_path: Path,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from scripts.extract import main

    monkeypatch.chdir(videos)
    assert main([*arguments, "--out", str(tmp_path / "store")]) == 2
    errors = capsys.readouterr().err
    assert says in errors
    assert "Traceback" not in errors


def test_batch_options_are_checked() -> None:
    with pytest.raises(UserError, match="--on-error"):
        Batch(["."], "s", CHEAP, on_error="shrug")


def test_odd_clips(shared_data: Path, tmp_path: Path, twostream: Command) -> None:
    done = twostream(
        "extract", shared_data / "clips" / "odd", "--out", tmp_path / "s", *HOW, "--short-side", 64
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["stored"], told["frames"]) == (6, 744)


@pytest.fixture(autouse=True)
def signals_are_put_back() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before
