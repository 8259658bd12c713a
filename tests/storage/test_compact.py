"""Compacting gives space back, keeps what is stored, and leaves open shards alone."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
from store_material import RAW, add, check, codes, filled

from storage.store import shard
from storage.store.compaction import compact
from storage.store.store import open_store
from storage.store.verification import verify


def test_space_is_given_back(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    store = filled(folder, {f"v{number}": 300 for number in range(20)})
    for number in range(0, 20, 2):
        store.delete(f"v{number}")
    store.close()
    (done,) = compact(folder)
    assert done.after < 0.7 * done.before
    assert not done.skipped
    assert not verify(folder).damaged
    store = open_store(folder, "a")
    assert store.videos() == sorted(f"v{number}" for number in range(1, 20, 2))
    for video in store.videos():
        check(store, video)
    add(store, "v0", 300)
    check(store, "v0")


def read_until(folder: Path, ready: object, go: object) -> None:
    store = open_store(folder)
    check(store, "a")
    ready.set()  # type: ignore[attr-defined]
    go.wait(60)  # type: ignore[attr-defined]
    check(store, "a")
    store.close()


def test_open_shards_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    filled(folder, {"a": 50, "b": 50}).close()
    context = multiprocessing.get_context("fork")
    ready, go = context.Event(), context.Event()
    child = context.Process(target=read_until, args=(folder, ready, go))
    child.start()
    assert ready.wait(60)
    (done,) = compact(folder)
    assert done.skipped == "another process reads it"
    go.set()
    child.join(60)
    assert child.exitcode == 0
    (done,) = compact(folder)
    assert not done.skipped
    writer = open_store(folder, "a")
    add(writer, "c", 5)
    (done,) = compact(folder)
    assert done.skipped == "this process has it open"
    check(writer, "c")


def test_second_copies_and_broken_shards_go(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    filled(folder, {"a": 5, "b": 7}).close()
    filled(tmp_path / "other", {"b": 7, "c": 9}).close()
    os.rename(tmp_path / "other/shards/000000", folder / "shards/000001")
    (folder / "shards" / ".broken-000002").mkdir()
    assert verify(folder).to_json()["stored_twice"] == 1
    store = open_store(folder)
    assert len(store) == 3
    store.close()
    compact(folder)
    report = verify(folder)
    assert (report.videos, report.to_json()["stored_twice"], report.damaged) == (3, 0, False)
    assert sorted(os.listdir(folder / "shards")) == ["000000", "000001"]
    store = open_store(folder)
    for video in "abc":
        check(store, video)


def test_shards_that_others_make_meanwhile_are_left_to_them(tmp_path: Path) -> None:
    """A merge from another disk copies for minutes. What a dead process left is removed."""
    folder = tmp_path / "s"
    filled(folder, {"a": 5}).close()
    young, old = (folder / "shards" / f".new-{name}" for name in ("young", "old"))
    for path in (young, old):
        path.mkdir()
        (path / "data.mdb").touch()
    os.utime(old, (0, 0))
    compact(folder)
    assert young.exists()
    assert not old.exists()


def test_stores_of_several_shards_are_one(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    filled(folder, {"a": 5}).close()
    filled(tmp_path / "other", {"b": 7}).close()
    os.rename(tmp_path / "other/shards/000000", folder / "shards/000001")
    store = open_store(folder, "a", RAW)
    np.testing.assert_array_equal(store.read_flow("b", 2, 3), codes("b", 7)[2:5])
    store.delete("b")
    assert store.videos() == ["a"]
    assert shard.on_disk(folder / "shards/000001" / shard.DATA) > 0
