"""Only what is damaged is called so and mended, and a repair itself loses nothing."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from children import FORK, end, start
from store_material import add, check, codes, filled

from storage.errors import DamageError, StoreError
from storage.store import shard
from storage.store.store import open_store
from storage.store.verification import apart, verify


def test_a_healthy_shard_is_never_put_aside(tmp_path: Path) -> None:
    """Not by the advice of an error, and not while somebody reads it."""
    folder = tmp_path / "s"
    filled(folder, {"a": 5, "b": 40}).close()

    def read(ready: object, go: object) -> None:
        store = open_store(folder)
        check(store, "a")
        ready.set()  # type: ignore[attr-defined]
        go.wait(60)  # type: ignore[attr-defined]
        check(store, "b")

    ready, go = FORK.Event(), FORK.Event()
    reader = start(read, ready, go)
    assert ready.wait(60)
    report = verify(folder, repair=True)
    assert (report.damaged, report.videos) == (False, 2)
    assert os.listdir(folder / "shards") == ["000000"]
    data = folder / "shards/000000/data.mdb"
    pair, content = codes("a", 5)[2].tobytes(), data.read_bytes()
    with open(data, "r+b") as file:  # in place: the reader has it mapped
        for at in range(len(content)):
            if content.startswith(pair, at):
                file.seek(at)
                file.write(bytes([content[at] ^ 1]))
    before = data.read_bytes()
    with pytest.raises(StoreError, match="still being written or read"):
        verify(folder, repair=True)
    assert data.read_bytes() == before
    go.set()
    end(reader)
    assert verify(folder, repair=True).dropped == ["a"]


def test_a_repair_works_a_second_time(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    videos = {"a": 5, "b": 40, "c": 90}
    filled(folder, videos).close()
    for _ in range(3):
        for name in open_store(folder).shards():
            data = folder / "shards" / name / "data.mdb"
            os.truncate(data, os.path.getsize(data) - 4096)
        verify(folder, repair=True)
        assert not verify(folder).damaged
        store = open_store(folder, "a")
        for video, pairs in videos.items():
            if video not in store:
                add(store, video, pairs)
            check(store, video)
        store.close()
    # a shard of a name that was broken before
    for name in open_store(folder).shards():
        (folder / "shards" / f".broken-{name}").mkdir(exist_ok=True)
        (folder / "shards" / f".broken-{name}" / "kept").touch()
        (folder / "shards" / name / "data.mdb").write_bytes(b"hello " * 5000)
    assert verify(folder, repair=True).damaged
    assert open_store(folder).videos() == []


def test_a_kill_within_a_repair_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is whole is copied, and visible, before the broken shard is put aside."""
    folder = tmp_path / "s"
    filled(folder, {"a": 5, "b": 40, "c": 90}).close()
    data = folder / "shards/000000/data.mdb"
    os.truncate(data, os.path.getsize(data) - 4096)
    rename = os.rename

    def dies(source: Path, target: Path) -> None:
        if Path(target).name.startswith(".broken"):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", dies)
    with pytest.raises(KeyboardInterrupt):
        verify(folder, repair=True)
    monkeypatch.undo()
    assert "000000" in os.listdir(folder / "shards")
    verify(folder, repair=True)
    report = verify(folder)
    assert not report.damaged
    assert report.videos >= 2
    store = open_store(folder)
    for video in store.videos():
        check(store, video)


def limited(kind: int, amount: int, folder: Path, words: str) -> None:
    store = open_store(folder)
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (amount, before[1]))
    try:
        with pytest.raises(StoreError, match=words) as raised:
            check(store, "a")
    finally:
        resource.setrlimit(kind, before)
    assert not isinstance(raised.value, DamageError)
    assert "--repair" not in str(raised.value)
    check(store, "a")


@pytest.mark.parametrize(
    ("kind", "words"), [("NOFILE", "too many open files"), ("AS", "no room is left")]
)
def test_what_is_no_damage_is_not_called_so(tmp_path: Path, kind: str, words: str) -> None:
    folder = tmp_path / "s"
    filled(folder, {"a": 5}).close()

    def work() -> None:
        if kind == "NOFILE":
            taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
            limited(resource.RLIMIT_NOFILE, max(taken) + 2, folder, words)
        else:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            monkey = pytest.MonkeyPatch()
            monkey.setattr(shard, "FIRST_MAP", 8 << 30)
            limited(resource.RLIMIT_AS, pages * resource.getpagesize() + (1 << 30), folder, words)
            monkey.undo()

    end(start(work))


def test_a_reader_that_is_killed_is_no_damage() -> None:
    with pytest.raises(StoreError, match=r"SIGKILL, out of memory\?.*nothing says"):
        apart(die_of, 9)
    assert apart(die_of, 11) is None


def die_of(signal_number: int) -> None:
    os.kill(os.getpid(), signal_number)


def test_a_machine_of_larger_pages_reads_a_healthy_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "s"
    filled(folder, {"a": 2}).close()
    assert (folder / "shards/000000/data.mdb").stat().st_size < 2 * 65536
    monkeypatch.setattr("mmap.PAGESIZE", 65536)
    check(open_store(folder), "a")
