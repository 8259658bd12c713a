"""A store elsewhere reads as the store itself; what was fetched in part is never read."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
from pathlib import Path
from typing import Any

import fsspec
import pytest
from children import end, in_child, start
from store_material import add, check, filled

from storage import Store, StoreError, UserError, open_remote, open_store
from storage.remote import fetching
from storage.store import merge

VIDEOS = {"a/one": 20, "a/two": 3, "b": 17}


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """Two sealed shards: stores of two machines, merged."""
    for name, videos in (("left", ("a/one", "b")), ("right", ("a/two",))):
        filled(tmp_path / name, {video: VIDEOS[video] for video in videos}).close()
    merge([tmp_path / "left", tmp_path / "right"], tmp_path / "far", new=True)
    assert len(list((tmp_path / "far" / "shards").glob("0*"))) == 2
    return tmp_path / "far"


def opened(far: Path, cache: str = "cache") -> Store:
    return open_remote(f"file://{far}", far.parent / cache)


def test_a_store_elsewhere_reads_as_the_store_itself(far: Path) -> None:
    store, itself = opened(far), open_store(far)
    assert store.videos() == itself.videos() == sorted(VIDEOS)
    assert store.meta == itself.meta
    for video in VIDEOS:
        assert store.video(video) == itself.video(video)
        check(store, video)
    check(pickle.loads(pickle.dumps(store)), "b")
    assert "RemoteStore('file://" in repr(store)
    with pytest.raises(UserError, match="opened to read"), store.write("c"):
        pass


def test_only_the_shards_that_are_read_are_fetched_and_once(far: Path) -> None:
    store = opened(far)
    assert not list(store.folder.rglob("data.mdb"))
    check(store, "a/two")
    (fetched,) = store.folder.rglob("data.mdb")
    number = fetched.stat().st_ino
    store.close()
    for path in far.rglob("data.mdb"):
        path.unlink()  # it is here now
    check(opened(far), "a/two")
    assert fetched.stat().st_ino == number
    with pytest.raises(StoreError, match="does not exist"):
        check(opened(far), "b")


def test_a_store_in_memory_and_in_a_child(far: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(far), "/bucket/store", recursive=True)
    store = open_remote("memory://bucket/store/", tmp_path / "cache")
    check(store, "a/one")
    in_child(check, store, "a/two")
    memory.rm("/bucket", recursive=True)


def test_an_exchanged_store_is_read_anew_beside_readers_of_the_old_one(far: Path) -> None:
    before = opened(far)
    check(before, "b")
    shutil.rmtree(far)
    filled(far.parent / "third", {"b": 5, "new": 4}, size=(8, 8)).close()
    merge([far.parent / "third"], far, new=True)
    after = opened(far)
    assert after.videos() == ["b", "new"]
    check(after, "b")
    check(before, "b")
    assert (before.video("b").pairs, after.video("b").pairs) == (17, 5)
    assert opened(far).folder == after.folder != before.folder


def test_a_store_that_grew_keeps_what_was_fetched(far: Path, tmp_path: Path) -> None:
    before = opened(far)
    check(before, "b")
    filled(tmp_path / "more", {"more": 4}).close()
    merge([tmp_path / "more"], far, new=False)
    after = opened(far)
    assert after.folder == before.folder
    assert len(list(after.folder.rglob("data.mdb"))) == 1
    for store in (after, before):  # its index is the same file's
        check(store, "more")


def test_a_shard_that_was_exchanged_alone_is_refused(far: Path) -> None:
    check(opened(far), "b")
    where = open_store(far)._locate("b").shard
    seal = far / "shards" / where / "sealed.json"
    seal.write_text(seal.read_text() + " ")
    with pytest.raises(StoreError, match="another file than the one that was fetched"):
        check(opened(far), "b")


def test_what_is_not_sealed_or_not_whole_is_refused(far: Path) -> None:
    with open_store(far, "a") as store:
        add(store, "late", 3)
    with pytest.raises(StoreError, match="is not sealed, and only sealed"):
        check(opened(far), "late")
    check(opened(far), "b")
    where = open_store(far)._locate("a/two").shard
    data = far / "shards" / where / "data.mdb"
    data.write_bytes(data.read_bytes()[:-4096])
    with pytest.raises(StoreError, match="is not what its index says"):
        check(opened(far, "other"), "a/two")
    assert not list((far.parent / "other").rglob("data.mdb"))
    (far / "shards" / where / "sealed.json").write_text(json.dumps({"sealed": 1}))
    with pytest.raises(StoreError, match=r"sealed\.json is damaged"):
        check(opened(far, "other"), "a/two")


def read_and_die(store: Store, video: str, at: int) -> None:
    """SIGKILL at the `at`-th time that a file is given its name, before or (odd) after."""
    replace, count = os.replace, 0

    def dying(*names: Any) -> None:
        nonlocal count
        if count == at // 2:
            if at % 2:
                replace(*names)
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        replace(*names)

    os.replace = dying  # type: ignore[assignment]
    fetching.PIECE = 512
    check(store, video)


@pytest.mark.parametrize("at", range(4))
def test_a_killed_reader_leaves_no_part_of_a_shard(at: int, far: Path) -> None:
    in_child(read_and_die, opened(far), "b", at, code=-signal.SIGKILL)
    for shard in opened(far).folder.glob("shards/0*"):
        if (shard / "sealed.json").exists():
            name = f"shards/{shard.name}/data.mdb"
            assert (shard / "data.mdb").read_bytes() == (far / name).read_bytes()
    check(opened(far), "b")


def test_many_processes_share_what_is_fetched(far: Path) -> None:
    def read() -> None:
        for video in VIDEOS:
            check(opened(far), video)

    children = [start(read) for _ in range(4)]
    for child in children:
        end(child)
    assert len(list(opened(far).folder.rglob("data.mdb"))) == 2


def test_mistakes(far: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no URL"):
        open_remote(str(far), tmp_path / "cache")
    with pytest.raises(StoreError, match=r"store\.json does not exist"):
        opened(tmp_path / "nowhere")
