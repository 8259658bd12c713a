"""Batches of which something fails: every video has its reason, and every run its summary."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import video_files

from flow.extraction.batch import run_batch
from flow.extraction.failures import read_failures
from flow.extraction.options import ExtractOptions
from storage.errors import UserError
from storage.store.store import open_store

CHEAP = {"flow": "dis", "codec": "jpeg:95", "workers": 1}
Command = Callable[..., subprocess.CompletedProcess[str]]


def run(videos: Path | list[Path], out: Path, **how: Any) -> Any:
    named = videos if isinstance(videos, list) else [videos]
    options = ExtractOptions(tuple(map(str, named)), str(out), **CHEAP | how)
    return run_batch(options, quiet=True)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return video_files.write_classes(tmp_path_factory.mktemp("videos"))


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
    reasons = {failure.video: failure.reason for failure in read_failures(out)}
    assert reasons.keys() == REASONS.keys()
    for video, reason in REASONS.items():
        assert reasons[video].startswith(reason)
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
    assert summary.remaining > 0
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


def test_a_dry_run_writes_nothing(videos: Path, tmp_path: Path) -> None:
    summary = run(videos, tmp_path / "store", dry_run=True)
    assert (summary.found, summary.remaining) == (10, 10)
    assert summary.text().splitlines()[-1] == "a dry run: nothing was stored"
    assert not (tmp_path / "store").exists()


def test_a_disk_that_cannot_be_written_ends_the_run(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    run(videos / "class 0", out)
    shutil.rmtree(out / "shards")
    summary = run(videos / "class 1", out)
    assert summary.stored == summary.failed == 0
    assert summary.remaining == 3
    assert "cannot be written" in summary.stopped


@pytest.mark.parametrize("known", [True, False], ids=["found at once", "found by a worker"])
def test_a_disk_too_full_for_failures_ends_the_run_with_its_summary(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    write = Path.write_text

    def full(path: Path, text: str, **how: Any) -> int:
        if path.name.endswith(".failures.json"):
            write(path, "")
            raise OSError(28, "No space left on device")
        return write(path, text, **how)

    monkeypatch.setattr(Path, "write_text", full)
    out = tmp_path / "store"
    summary = run(mixed / ("gone.avi" if known else "text.avi"), out)
    assert (summary.found, summary.failed) == (1, 1)
    assert "failures.json cannot be written: No space left" in summary.stopped
    kept = {"store.json", "shards", "failures.jsonl", ".failures.json.lock", "index.log", "publish"}
    assert {path.name for path in out.iterdir()} <= kept
    monkeypatch.undo()
    assert len(read_failures(out)) == 1


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
        ExtractOptions((".",), "s", on_error="shrug")
