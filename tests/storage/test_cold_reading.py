"""Reading by offset: the items that the map gives, and little beside them from the file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surroundings import ROOT

from storage.errors import StoreError
from storage.store import StoreConfig, open_store, reading
from storage.store.tree import Tree


@pytest.fixture(scope="module")
def tree_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An LMDB file with two trees of 900 values each, small and large, over several states."""
    folder = tmp_path_factory.mktemp("tree")
    with lmdb.open(str(folder), max_dbs=3, map_size=1 << 28, lock=False, sync=False) as env:
        records, other = env.open_db(b"records"), env.open_db(b"other")
        env.open_db(b"empty")
        for start in range(0, 900, 300):
            with env.begin(write=True) as txn:
                for number in range(start, start + 300):
                    txn.put(key_of(number), value_of(number), db=records)
                    txn.put(key_of(number), b"other", db=other)
        with env.begin(write=True) as txn:
            for number in range(0, 900, 7):
                txn.delete(key_of(number), db=records)
    return folder / "data.mdb"


def key_of(number: int) -> bytes:
    return (number * 2654435761 % 2**32).to_bytes(4, "big") + b"k" * (number % 9)


def value_of(number: int) -> bytes:
    return bytes([number % 251]) * (number * 37 % 5000)


def test_every_value_is_found_where_it_is(tree_file: Path) -> None:
    with lmdb.open(str(tree_file.parent), readonly=True, lock=False, max_dbs=3) as env:
        state, size = env.info()["last_txnid"], env.stat()["psize"]
    tree = Tree(tree_file, b"records", size)
    for number in range(910):
        place = tree.find(key_of(number), state)
        if number % 7 == 0 or number >= 900:
            assert place is None
        else:
            assert place is not None
            assert tree.read(*place) == value_of(number)
    tree.close()


def test_an_empty_tree_holds_nothing_and_an_older_state_is_refused(tree_file: Path) -> None:
    with lmdb.open(str(tree_file.parent), readonly=True, lock=False, max_dbs=3) as env:
        state, size = env.info()["last_txnid"], env.stat()["psize"]
    tree = Tree(tree_file, b"empty", size)
    assert tree.find(b"key", state) is None
    with pytest.raises(StoreError, match="does not hold the state"):
        tree.find(b"key", state - 2)
    tree.close()


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_damaged_pages_are_an_error_or_harmless(
    tree_file: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray(tree_file.read_bytes())
    with lmdb.open(str(tree_file.parent), readonly=True, lock=False, max_dbs=3) as env:
        state, size = env.info()["last_txnid"], env.stat()["psize"]
    for _ in range(20):
        page = data.draw(st.integers(0, len(raw) // size - 1))
        raw[page * size + data.draw(st.integers(0, 60))] = data.draw(st.integers(0, 255))
    copy = tmp_path_factory.mktemp("damaged") / "data.mdb"
    copy.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    tree = Tree(copy, b"records", size)
    for number in range(1, 900, 31):
        try:
            place = tree.find(key_of(number), state)
            if place is not None:
                tree.read(place[0], min(place[1], 10000))
        except StoreError:
            continue
    tree.close()


@pytest.fixture(scope="module")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames and pairs of 128x192 noise, so that chunks span many pages."""
    path = tmp_path_factory.mktemp("cold") / "store"
    random = np.random.default_rng(0)
    with open_store(path, "w", StoreConfig(codec="jpeg:80")) as store:
        for name in ("a", "b"):
            with store.write(name) as writer:
                for _ in range(61):
                    writer.frame(random.integers(0, 256, (128, 192, 3), dtype=np.uint8))
                writer.flow(random.integers(0, 256, (60, 2, 128, 192), dtype=np.uint8))
                writer.finish(fps=25.0)
    return path


@given(
    kind=st.sampled_from(["frames", "forward"]),
    numbers=st.lists(st.integers(0, 59), min_size=1, max_size=12),
    run=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_both_ways_give_the_same_items(
    store_folder: Path, kind: str, numbers: list[int], run: bool
) -> None:
    wanted = sorted(numbers) if run else numbers
    with open_store(store_folder) as store:
        location = store._locate("a")
        part = store.part(location.shard)
        with part.reading() as txn:
            args = (part, txn, location.entry, kind, wanted)
            items = reading.by_map(*args)
            assert len(items) == len(wanted)
            assert reading.by_offset(*args) == items


@pytest.mark.parametrize(("kind", "length"), [("forward", 10), ("frames", 1)])
def test_little_is_read_that_nobody_asked_for(
    store_folder: Path, kind: str, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages asked for and read, those of the tree left out, are at most 1.5 times the bytes."""
    pages: set[int] = set()
    read, ask = Tree.read, Tree.ask

    def noted_read(self: Tree, start: int, size: int) -> bytes:
        if size != self.page:  # a page of the tree: kept in memory
            pages.update(range(start // 4096, -(-(start + size) // 4096)))
        return read(self, start, size)

    def noted_ask(self: Tree, start: int, stop: int) -> None:
        pages.update(range(start // 4096, -(-stop // 4096)))
        ask(self, start, stop)

    monkeypatch.setattr(Tree, "read", noted_read)
    monkeypatch.setattr(Tree, "ask", noted_ask)
    wanted = fetched = 0
    with open_store(store_folder) as store:
        for first in range(0, 60 - length, 3):
            pages.clear()
            wanted += sum(map(len, store.read_encoded("b", kind, first, length)))
            fetched += 4096 * len(pages)
    assert wanted <= fetched <= 1.5 * wanted


def test_the_way_changes_with_where_the_bytes_come_from(
    store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[str] = []
    blocks = [0]
    for name in ("by_map", "by_offset"):
        plain = getattr(reading, name)

        def noted(*args: object, name: str = name, plain: object = plain) -> object:
            ways.append(name)
            return plain(*args)  # type: ignore[operator]

        monkeypatch.setattr(reading, name, noted)

    class Usage:
        @property
        def ru_inblock(self) -> int:
            return blocks[0]

    monkeypatch.setattr(reading.resource, "getrusage", lambda who: Usage())
    with open_store(store_folder) as store:
        for _ in range(reading.CALM + 1):
            store.read_encoded("a", "frames", 0, 1)
        assert ways == ["by_offset"] * reading.CALM + ["by_map"]
        values = iter([10, 20])  # the next read needs the disk
        monkeypatch.setattr(
            reading.resource, "getrusage", lambda who: type("U", (), {"ru_inblock": next(values)})
        )
        store.read_encoded("a", "frames", 0, 1)
        monkeypatch.setattr(reading.resource, "getrusage", lambda who: Usage())
        store.read_encoded("a", "frames", 0, 1)
    assert ways[-2:] == ["by_map", "by_offset"]


WRITER = """
import sys
import numpy as np
from storage.store import StoreConfig, open_store
codes = np.arange(2 * 6 * 16 * 16, dtype=np.uint8).reshape(6, 2, 16, 16)
with open_store(sys.argv[1], "w", StoreConfig(codec="raw", frame_codec="none")) as store:
    for number, _ in enumerate(sys.stdin):
        with store.write(f"v{number}") as writer:
            writer.flow(codes)
            writer.finish(fps=25.0)
        print("stored", flush=True)
"""


def test_a_reader_goes_on_in_its_state_while_another_process_writes_on(tmp_path: Path) -> None:
    """A file names its last two states, and a shard's locks let nobody write a third meanwhile."""
    folder = tmp_path / "store"
    command = [sys.executable, "-c", WRITER, str(folder)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None

        def write_one() -> None:
            print("next", file=writer.stdin, flush=True)
            assert writer.stdout.readline() == "stored\n"

        write_one()
        with open_store(folder) as store:
            location = store._locate("v0")
            part = store.part(location.shard)
            with part.reading() as txn:
                state = txn.id()
                args = (part, txn, location.entry, "forward", range(6))
                expected = reading.by_map(*args)
                write_one()
                assert reading.by_offset(*args) == expected
            write_one()
            with part.reading() as txn:
                assert txn.id() >= state + 2
                args = (part, txn, location.entry, "forward", range(6))
                assert reading.by_offset(*args) == expected
        writer.stdin.close()
        assert writer.wait() == 0


def test_a_shard_leaves_no_file_open(store_folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with open_store(store_folder) as store:
            store.read_encoded("a", "frames", 0, 1)
    assert len(os.listdir("/proc/self/fd")) == before
