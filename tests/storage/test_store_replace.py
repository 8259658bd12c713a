"""A video that is stored anew: the old one is there until the new one is, and never both."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from store_material import add, check, filled

from storage import StoreError, open_store
from storage.store.verification import verify


def test_a_video_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", {"a": 20})

    def broken() -> None:
        with store.write("a", replace=True) as w:
            w.frame(np.zeros((6, 10, 3), np.uint8))
            raise EOFError

    with pytest.raises(EOFError):
        broken()
    check(store, "a")
    add(store, "a", 7, replace=True)
    check(store, "a")
    assert (store.video("a").pairs, store.videos()) == (7, ["a"])
    report = verify(tmp_path / "s").to_json()
    assert (report["pairs"], report["stray_records_of"], report["unfinished"]) == (7, 0, 0)


def test_a_reader_that_knew_the_old_one_is_told(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", {"a": 20})
    reader = open_store(tmp_path / "s")
    check(reader, "a")
    add(store, "a", 7, replace=True)
    with pytest.raises(StoreError, match="stored anew"):
        reader.read_flow("a", 10, 3)
    check(reader, "a")


def test_what_another_process_stored_is_replaced(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", {"b": 2})  # this process has the first shard
    child = multiprocessing.get_context("spawn").Process(target=add, args=(store, "a", 20))
    child.start()
    child.join(60)
    assert store.videos_in("000001") == ["a"]
    add(store, "a", 7, replace=True)
    check(store, "a")
    assert store.videos_in("000000") == ["a", "b"]
    assert store.videos_in("000001") == []
