"""Damaged stores: a clear error, the rest still readable, and repair that loses no whole video."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
from pathlib import Path

import pytest
from store_material import RAW, add, check, codes, filled

from storage.errors import StoreError
from storage.store import claim
from storage.store.chunk import pack
from storage.store.store import open_store
from storage.store.verification import verify

VIDEOS = {"a": 5, "b": 40, "c": 0, "d/e": 90, "f" * 600: 12}
DATA = Path("shards/000000/data.mdb")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    filled(tmp_path / "s", VIDEOS).close()
    return tmp_path / "s"


def flip(path: Path, what: bytes, offset: int = 0) -> None:
    data = bytearray(path.read_bytes())
    places = [at for at in range(len(data)) if data.startswith(what, at)]
    assert places
    for at in places:
        data[at + offset] ^= 0x10
    path.write_bytes(data)


def record_with(video: str, pair: int) -> bytes:
    return codes(video, VIDEOS[video])[pair].tobytes()


def test_a_flipped_byte_in_a_record_is_seen_and_repaired(folder: Path) -> None:
    flip(folder / DATA, record_with("b", 20), offset=33)
    store = open_store(folder)
    with pytest.raises(StoreError, match=r"'b' is damaged.*checksum.*--repair"):
        store.read_flow("b", 15, 10)
    assert store.read_flow("b", 0, 20).shape[0] == 20  # what is whole can still be read
    for video in set(VIDEOS) - {"b"}:
        check(store, video)
    store.close()
    report = verify(folder)
    assert [d.video for part in report.shards for d in part.damaged] == ["b"]
    assert report.videos == 4
    assert verify(folder, repair=True).dropped == ["b"]
    assert not verify(folder).damaged
    store = open_store(folder, "a")
    assert store.videos() == sorted(set(VIDEOS) - {"b"})
    add(store, "b", VIDEOS["b"])  # as extract would
    for video in VIDEOS:
        check(store, video)


@pytest.mark.parametrize("path", [DATA, Path("index.log")], ids=["shard", "index.log"])
def test_a_flipped_byte_in_an_index_is_seen_and_mended(folder: Path, path: Path) -> None:
    """What is known of a video stands twice, so one of them brings back the other."""
    flip(folder / path, b'"video":"d/e"', offset=9)
    store = open_store(folder)
    if path == DATA:
        check(store, "d/e")
    else:
        with pytest.raises(StoreError, match=r"'d/e' is not in .*1 lines of .* damaged.*--repair"):
            store.video("d/e")
    check(store, "a")
    store.close()
    assert verify(folder).damaged
    report = verify(folder, repair=True)
    assert report.dropped == []
    after = verify(folder)
    assert (after.damaged, after.videos, after.to_json()["stray_records_of"]) == (False, 5, 0)
    check(open_store(folder), "d/e")


def test_both_indexes_of_a_video_lost(folder: Path) -> None:
    for path in (DATA, Path("index.log")):
        flip(folder / path, b'"video":"d/e"', offset=9)
    verify(folder, repair=True)
    after = verify(folder)
    assert (after.damaged, after.videos, after.to_json()["stray_records_of"]) == (False, 4, 0)
    store = open_store(folder, "a")
    assert "d/e" not in store
    add(store, "d/e", 90)
    check(store, "d/e")


@pytest.mark.parametrize("end", [b"deadbeef + 000000 77 {", b"\0" * 900, b"no line\n", b"\n\n"])
def test_a_torn_end_of_the_index_is_passed_over(folder: Path, end: bytes) -> None:
    with open(folder / "index.log", "ab") as file:
        file.write(end)
    store = open_store(folder, "a")
    assert store.videos() == sorted(VIDEOS)
    add(store, "new", 3)
    store.close()
    store = open_store(folder)
    assert store.videos() == sorted([*VIDEOS, "new"])
    for video in VIDEOS:
        check(store, video)
    verify(folder, repair=True)
    assert not verify(folder).damaged


def test_missing_and_surplus_records_are_seen(folder: Path) -> None:
    store = open_store(folder, "a")
    part = store.part("000000")
    number = store._locate("b").entry.number
    other = store._locate("a").entry.number
    from storage.store.keys import record_key

    def work(txn) -> None:
        txn.delete(record_key(number, "forward", 1), db=part.records)
        txn.put(record_key(other, "forward", 7), pack([b"x"]), db=part.records)
        txn.put(record_key(12345, "forward", 0), pack([b"x"]), db=part.records)

    part.write(work)
    with pytest.raises(StoreError, match=r"'b' is damaged.*forward 16 is missing"):
        store.read_flow("b", 0, 40)
    store.close()
    report = verify(folder)
    reasons = {d.video: d.reason for found in report.shards for d in found.damaged}
    assert set(reasons) == {"a", "b"}
    assert "missing" in reasons["b"]
    assert "more records" in reasons["a"]
    assert report.shards[0].orphans == [12345]
    verify(folder, repair=True)
    assert not verify(folder).damaged


@pytest.mark.parametrize("left", [0, 100, 4096, 8191, 8192, 12_288, 0.5, -4096, -1])
def test_a_truncated_file_is_an_error_and_is_salvaged(folder: Path, left: float) -> None:
    path = folder / DATA
    size = os.path.getsize(path)
    os.truncate(path, int(size * left) if 0 < left < 1 else int(size + left if left < 0 else left))
    store = open_store(folder)
    assert store.videos() == sorted(VIDEOS)  # the index is another file
    with pytest.raises(StoreError, match=r"truncated.*--repair"):
        store.read_flow("a", 0, 1)
    with pytest.raises(StoreError, match="truncated"), open_store(folder, "a").write("new"):
        pass
    store.close()
    report = verify(folder)
    assert "truncated" in report.shards[0].broken
    repaired = verify(folder, repair=True)
    store = open_store(folder, "a")
    assert store.videos() == sorted(repaired.salvaged)
    if left < 0:
        assert len(repaired.salvaged) >= 3  # a page at the end costs little
    for video in store.videos():
        check(store, video)
    for video, pairs in VIDEOS.items():
        if video not in store:
            add(store, video, pairs)
    store.close()
    assert verify(folder).videos == len(VIDEOS)


def test_a_valid_file_is_never_called_truncated(tmp_path: Path) -> None:
    """Deleting frees pages at the end that LMDB may never have written."""
    store = open_store(tmp_path / "s", "w", RAW)
    chance = random.Random(3)
    for number in range(60):
        add(store, str(number), chance.randrange(60))
        if chance.random() < 0.6:
            store.delete(chance.choice(store.videos()))
        store.close()  # so that the file is opened, and its length checked, every time
    assert not verify(tmp_path / "s").damaged
    videos = store.videos()
    for video in videos:
        check(store, video)


def read_all(folder: Path, wrong: object) -> None:
    store = open_store(folder)
    try:
        videos = store.videos()
    except (StoreError, ValueError):
        return
    for video in videos:
        try:
            check(store, video)
        except StoreError:
            continue
        except (AssertionError, KeyError):
            wrong.put(video)  # type: ignore[attr-defined]


def flip_anywhere(folder: Path, chance: random.Random) -> None:
    """Whatever byte is damaged: never wrong pixels, and after repair all is well."""
    path = folder / DATA
    data = bytearray(path.read_bytes())
    pages = range(0, len(data), 4096)
    at = chance.choice(pages) + chance.choice([chance.randrange(64), chance.randrange(4096)])
    data[at] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    context = multiprocessing.get_context("fork")
    wrong = context.SimpleQueue()
    child = context.Process(target=read_all, args=(folder, wrong))  # LMDB may end it
    child.start()
    child.join(60)
    assert wrong.empty(), f"byte {at}"
    verify(folder, repair=True)
    report = verify(folder)
    assert not report.damaged, f"byte {at}: {report.to_json()}"
    store = open_store(folder, "a")
    for video in store.videos():
        assert store.video(video).pairs == VIDEOS[video]
        check(store, video)
    for video, pairs in VIDEOS.items():
        if video not in store:
            add(store, video, pairs)
    store.close()
    assert verify(folder).videos == len(VIDEOS)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_byte_flipped_anywhere(folder: Path, seed: int) -> None:
    flip_anywhere(folder, random.Random(seed))


@pytest.mark.slow
def test_many_bytes_flipped_anywhere(tmp_path: Path) -> None:
    for seed in range(60):
        filled(tmp_path / str(seed), VIDEOS).close()
        flip_anywhere(tmp_path / str(seed), random.Random(seed))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ("{}", "damaged"),
        ('{"schema": 99}', r"schema version 99, this program reads 1"),
        ('{"schema": 1}', "does not say how"),
        ('{"schema": 1, "quantizer": {"rule": "log", "bound": 20}}', "'log' is not known"),
        ('{"schema": 1, "quantizer": {"rule": "round", "bound": 20}, "codec": "h264"}', "'h264'"),
    ],
)
def test_a_manifest_that_cannot_be_used(folder: Path, text: str, words: str) -> None:
    (folder / "store.json").write_text(text)
    for mode in ("r", "a"):
        with pytest.raises(StoreError, match=words):
            open_store(folder, mode)


def test_what_later_versions_add_to_the_manifest_is_passed_over(folder: Path) -> None:
    path = folder / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "blue"}))
    check(open_store(folder), "a")


def test_a_file_that_is_no_lmdb_is_an_error(folder: Path) -> None:
    (folder / DATA).write_bytes(b"hello " * 5000)
    with pytest.raises(StoreError, match="damaged"):
        check(open_store(folder), "a")
    assert verify(folder, repair=True).shards[0].broken
    assert open_store(folder).videos() == []


def hold_claim(folder: Path, ready: object, go: object) -> None:
    claim.take(folder / "shards")
    ready.set()  # type: ignore[attr-defined]
    go.wait(60)  # type: ignore[attr-defined]


def test_a_shard_being_written_is_not_given_up(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, go = context.Event(), context.Event()
    child = context.Process(target=hold_claim, args=(folder, ready, go))
    child.start()
    assert ready.wait(60)
    os.truncate(folder / DATA, 8192)
    with pytest.raises(StoreError, match="still being written"):
        verify(folder, repair=True)
    go.set()
    child.join(60)
    assert verify(folder, repair=True).shards[0].broken
