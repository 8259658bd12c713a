"""Processes that die, and processes that write and read at once: nothing lost, nothing doubled."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from store_material import RAW, add, check, filled

from storage.errors import StoreError
from storage.store import manifest, sealing, shard, writer
from storage.store.store import Store, open_store
from storage.store.verification import check as check_shard
from storage.store.writer import VideoWriter, drop_numbers

FORK = multiprocessing.get_context("fork")
VIDEOS = {f"v{number:02d}": 10 + 7 * (number % 5) for number in range(24)}


def wait(child: multiprocessing.Process) -> None:
    child.join(60)
    assert child.exitcode == 0


def write_missing(folder: Path, videos: dict[str, int]) -> None:
    """What a resumed batch does."""
    store = open_store(folder, "a", RAW)
    for video, pairs in videos.items():
        if video not in store:
            with suppress(StoreError):  # another process was quicker
                add(store, video, pairs)
    store.close()


def undisturbed(folder: Path) -> float:
    """Seconds that the whole batch takes on this machine, now."""
    open_store(folder, "w", RAW).close()
    began = time.monotonic()
    child = FORK.Process(target=write_missing, args=(folder, VIDEOS))
    child.start()
    wait(child)
    return time.monotonic() - began


def kill_and_resume(folder: Path, seed: int, kills: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # several transactions a video, and a map that must grow, so that every moment is hit
    monkeypatch.setattr(writer, "FLUSH", 1500)
    monkeypatch.setattr(shard, "FIRST_MAP", 1 << 18)
    monkeypatch.setattr(sealing, "SHARD_BYTES", 100_000)
    chance = random.Random(seed)
    whole = undisturbed(folder.with_name(f"{folder.name}-whole"))
    open_store(folder, "w", RAW).close()
    started = 0
    for _ in range(kills):
        child = FORK.Process(target=write_missing, args=(folder, VIDEOS))
        child.start()
        time.sleep(chance.uniform(0.02, 0.5) * whole)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join(60)
        started += child.exitcode == -signal.SIGKILL
        store = open_store(folder)
        for video in store.videos():
            assert store.video(video).pairs == VIDEOS[video]
            check(store, video)
        store.close()
    assert started  # some were really cut short
    wait_for = FORK.Process(target=write_missing, args=(folder, VIDEOS))
    wait_for.start()
    wait(wait_for)
    store = open_store(folder)
    assert store.videos() == sorted(VIDEOS)
    for video in VIDEOS:
        check(store, video)
    for name in store.shards():
        report = check_shard(folder / "shards" / name, True)
        assert not report.damaged
        assert not report.broken
        assert not report.orphans
        assert not report.unfinished


def test_killed_writers_lose_only_what_they_had_in_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_and_resume(tmp_path / "s", seed=1, kills=10, monkeypatch=monkeypatch)


@pytest.mark.slow
def test_killed_writers_many_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(6):
        kill_and_resume(tmp_path / str(seed), seed, 25, monkeypatch)


def test_what_a_dead_writer_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "FLUSH", 1000)
    folder = tmp_path / "s"
    open_store(folder, "w", RAW).close()

    def die() -> None:
        with open_store(folder, "a").write("a") as w:
            from store_material import codes

            w.flow(codes("a", 100))
            os.kill(os.getpid(), signal.SIGKILL)

    child = FORK.Process(target=die)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    name = folder / "shards" / "000000"
    assert len(check_shard(name, True).unfinished) == 1
    store = open_store(folder, "a")
    add(store, "b", 2)
    assert store.videos() == ["b"]
    report = check_shard(name, True)
    assert (report.unfinished, report.orphans, report.records) == ([], [], 2)


def test_two_writers_at_once_have_a_shard_each(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    open_store(folder, "w", RAW).close()
    shares = [
        {v: n for v, n in VIDEOS.items() if v != "v03"},
        {v: n for v, n in VIDEOS.items() if v != "v05"},
    ]
    children = [FORK.Process(target=write_missing, args=(folder, share)) for share in shares]
    for child in children:
        child.start()
    for child in children:
        wait(child)
    store = open_store(folder)
    assert store.videos() == sorted(VIDEOS)
    assert len(store) == len(VIDEOS) == len(list(store.metas()))
    assert len(store.shards()) <= 2
    for video in VIDEOS:
        check(store, video)


def test_shards_that_others_make_at_the_same_moment_are_no_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their folders get their names between a look at the list and a look at them."""
    glob = Path.glob

    def late(path: Path, pattern: str) -> list[Path]:
        return [*glob(path, pattern), *([path / ".new-gone"] if pattern == ".new-*" else [])]

    store = open_store(tmp_path / "s", "w", RAW)
    monkeypatch.setattr(Path, "glob", late)
    add(store, "a", 3)
    check(store, "a")


def hold(store: Store, video: str, ready: object, go: object) -> None:
    with store.write(video) as w:
        from store_material import codes, frames

        for frame in frames(video, 6):
            w.frame(frame)
        w.flow(codes(video, 5))
        w.finish(fps=25.0)
        ready.set()  # type: ignore[attr-defined]
        assert go.wait(60)  # type: ignore[attr-defined]


def test_a_video_stored_by_two_at_once_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = VideoWriter.publish

    def late(video: VideoWriter) -> None:
        time.sleep(0.5)  # the other one looks meanwhile whether it is there
        publish(video)

    monkeypatch.setattr(VideoWriter, "publish", late)
    folder = tmp_path / "s"
    store = open_store(folder, "w", RAW)
    events = [(FORK.Event(), FORK.Event()) for _ in range(2)]
    children = [FORK.Process(target=hold, args=(store, "a", *pair)) for pair in events]
    for child in children:
        child.start()
    for ready, _ in events:
        assert ready.wait(60)
    assert store.videos() == []
    for _, go in events:
        go.set()
    for child in children:
        wait(child)
    assert store.videos() == ["a"]
    assert len(store) == 1
    check(store, "a")
    assert len(store.shards()) == 2
    assert [video for name in store.shards() for video in store.videos_in(name)] == ["a"]
    store.delete("a")
    assert "a" not in store


def test_a_reader_follows_a_writer_that_grows_the_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "FIRST_MAP", 1 << 18)
    folder = tmp_path / "s"
    filled(folder, {"first": 3}).close()
    reader = open_store(folder)
    check(reader, "first")  # mapped while it is small
    videos = {f"w{number}": 200 for number in range(12)}
    child = FORK.Process(target=write_missing, args=(folder, videos))
    child.start()
    seen: set[str] = set()
    while child.is_alive():
        for video in set(reader.videos()) - seen:
            check(reader, video)
            seen.add(video)
    wait(child)
    for video in ["first", *videos]:
        check(reader, video)
    assert os.path.getsize(folder / "shards" / "000000" / "data.mdb") > 1 << 20


def test_the_map_grows_within_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "FIRST_MAP", 1 << 18)
    store = filled(tmp_path / "s", {"long": 2000, "short": 1})
    check(store, "long")
    check(store, "short")


def test_a_dead_process_gives_up_its_claim(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    open_store(folder, "w", RAW).close()
    for number in range(3):

        def die(video: str = f"v{number}") -> None:
            add(open_store(folder, "a"), video, 3)
            os.kill(os.getpid(), signal.SIGKILL)

        child = FORK.Process(target=die)
        child.start()
        child.join(60)
    store = open_store(folder)
    assert store.shards() == ["000000"]
    assert store.videos() == ["v0", "v1", "v2"]


def test_a_race_to_create_makes_one_store(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    videos = [{f"v{number}": 3} for number in range(4)]
    children = [FORK.Process(target=write_missing, args=(folder, share)) for share in videos]
    for child in children:
        child.start()
    for child in children:
        wait(child)
    assert len(open_store(folder)) == 4
    left = [p.name for p in folder.iterdir()] + [p.name for p in (folder / "shards").iterdir()]
    assert not [name for name in left if name.startswith(".")]


def test_two_machines_create_one_store_under_one_process_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers number their processes alike."""
    put = manifest.put_in_place

    def slowly(fresh: Path, path: Path) -> bool:
        monkeypatch.setattr(manifest, "put_in_place", put)
        assert manifest.create_manifest(tmp_path / "s", RAW)  # by the other one, meanwhile
        return put(fresh, path)

    monkeypatch.setattr(os, "getpid", lambda: 7)
    monkeypatch.setattr(manifest, "put_in_place", slowly)
    assert not manifest.create_manifest(tmp_path / "s", RAW)
    assert manifest.read_manifest(tmp_path / "s") == RAW


def test_dropping_in_steps_drops_all(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", {"keep": 3, "long": 20_000})
    number = store._locate("long").entry.number
    part = store.part("000000")
    drop_numbers(part, [number])
    report = check_shard(tmp_path / "s" / "shards" / "000000", False)
    assert report.whole == ["keep"]
    assert [d.video for d in report.damaged] == ["long"]
    check(store, "keep")
