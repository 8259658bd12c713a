"""Writers and readers that may not lock, copy files or are stopped: nothing is lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import FORK, end, start
from store_material import RAW, add, check, codes, filled, frames

from storage.errors import StoreError
from storage.store import locks, shard, writer
from storage.store.keys import NUMBER, PENDING
from storage.store.store import Store, open_store
from storage.store.verification import verify

ROOT = os.geteuid() == 0


def test_a_copy_made_by_the_writing_process_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POSIX locks end when the process closes any descriptor of the file, as a copy does."""
    monkeypatch.setattr(writer, "FLUSH", 500)
    folder = tmp_path / "s"
    open_store(folder, "w", RAW).close()

    def write_long(ready: object, go: object) -> None:
        store = open_store(folder, "a")
        with store.write("long") as w:
            for number, frame in enumerate(frames("long", 101)):
                w.frame(frame)
                if number == 60:
                    shutil.copytree(folder, tmp_path / "copy")
                    ready.set()  # type: ignore[attr-defined]
                    assert go.wait(60)  # type: ignore[attr-defined]
            w.flow(codes("long", 100))
            w.finish(fps=25.0)

    ready, go = FORK.Event(), FORK.Event()
    first = start(write_long, ready, go)
    assert ready.wait(60)

    def write_short() -> None:
        add(open_store(folder, "a"), "short", 20)

    end(start(write_short))
    go.set()
    end(first)
    store = open_store(folder)
    assert store.videos() == ["long", "short"]
    for video in store.videos():
        check(store, video)
    assert len(store.shards()) == 2


def test_a_writer_whose_mark_is_gone_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "FLUSH", 500)
    store = filled(tmp_path / "s", {"b": 3})

    def write_without_mark(other: bytes | None) -> None:
        with store.write("a") as w:
            w.flow(codes("a", 50))
            for frame in frames("a", 51):
                w.frame(frame)
            part = store.part("000000")
            assert w.number is not None
            key = PENDING + NUMBER.pack(w.number)

            def work(txn: shard.Transaction) -> None:
                txn.delete(key, db=part.info)
                if other is not None:
                    txn.put(key, other, db=part.info)

            part.write(work)
            w.finish(fps=25.0)

    for other in (None, b"", b"another owner"):
        with pytest.raises(StoreError, match=r"'a' was not stored.*took over"):
            write_without_mark(other)
        assert store.videos() == ["b"]
    add(store, "a", 50)
    check(store, "a")
    store.close()
    assert not verify(tmp_path / "s").damaged


@pytest.fixture
def public_place() -> Iterator[Path]:
    """A folder that other users can enter. Each pytest that starts shuts the others' folders."""
    if not ROOT:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_a_reader_without_rights_is_safe_beside_a_writer(public_place: Path) -> None:
    """Another user's reader, who may write nothing, while pages are used again and again."""
    folder = public_place / "s"
    store = filled(folder, {f"keep {n}": 40 for n in range(10)})
    for path in public_place.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)

    def as_nobody(stop: object) -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        reader = open_store(folder)
        while not stop.is_set():  # type: ignore[attr-defined]
            for video in reader.videos():
                if video.startswith("keep"):
                    check(reader, video)

    stop = FORK.Event()
    readers = [start(as_nobody, stop) for _ in range(2)]
    for number in range(60):
        add(store, f"new {number}", 60)
        store.delete(f"new {number}")
    stop.set()
    for reader in readers:
        end(reader)


def test_a_reader_that_cannot_lock_is_refused(public_place: Path) -> None:
    folder = public_place / "s"
    filled(folder, {"a": 5}).close()
    (folder / "shards/000000" / locks.NAME).unlink()
    for path in public_place.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)

    def as_nobody() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        with pytest.raises(StoreError, match=r"read safely beside a writer.*`claim`"):
            check(open_store(folder), "a")

    end(start(as_nobody))
    check(open_store(folder), "a")


def test_a_writer_waits_for_readers_of_an_older_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "s"
    store = filled(folder, {"a": 30})
    reader = open_store(folder, "r")
    part = reader.part("000000")

    def look(ready: object, go: object) -> None:
        mine = open_store(folder)
        with mine.part("000000").reading():
            ready.set()  # type: ignore[attr-defined]
            assert go.wait(60)  # type: ignore[attr-defined]

    ready, go = FORK.Event(), FORK.Event()
    other = start(look, ready, go)
    assert ready.wait(60)
    monkeypatch.setattr(locks, "PATIENCE", 0.2)
    add(store, "b", 3)  # the state that is read is the last one
    with pytest.raises(StoreError, match="reading one state of it"):
        add(store, "c", 3)
    go.set()
    end(other)
    add(store, "c", 3)
    assert store.videos() == ["a", "b", "c"]
    assert part is store.part("000000")
    for video in store.videos():
        check(store, video)


def test_processes_without_locks_of_open_files_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on systems other than Linux."""
    monkeypatch.setattr(locks, "OFD", False)
    folder = tmp_path / "s"
    open_store(folder, "w", RAW).close()

    def write(mine: str) -> None:
        locks._kept.clear()
        store: Store = open_store(folder, "a")
        for number in range(10):
            add(store, f"{mine}{number}", 20)
            check(store, f"{mine}{number}")
        store.close()

    for child in [start(write, mine) for mine in "abc"]:
        end(child)
    store = open_store(folder)
    assert len(store.videos()) == 30
    for video in store.videos():
        check(store, video)
    store.close()
    locks._kept.clear()
