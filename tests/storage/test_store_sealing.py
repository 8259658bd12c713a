"""Shards end at a size, and are never written again: to be copied, linked, fetched and cached."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from children import end, start
from store_material import RAW, add, check, codes, filled

from storage.errors import StoreError
from storage.store import sealing, shard
from storage.store.claim import unclaimed, unopened
from storage.store.compaction import compact
from storage.store.store import open_store
from storage.store.verification import verify

VIDEOS = {f"v{number:02d}": 40 + number for number in range(16)}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SHARD_BYTES", 150_000)


def sealed(folder: Path) -> list[str]:
    return [n for n in os.listdir(folder / "shards") if sealing.is_sealed(folder / "shards" / n)]


def contents(folder: Path) -> dict[Path, bytes]:
    return {
        p: p.read_bytes() for name in sealed(folder) for p in (folder / "shards" / name).iterdir()
    }


def test_full_shards_are_sealed_and_never_change(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    store = filled(folder, VIDEOS)
    before = contents(folder)
    assert len(sealed(folder)) >= 3
    assert len(store.shards()) == len(sealed(folder)) + 1
    for name in sealed(folder):
        about = json.loads((folder / "shards" / name / "sealed.json").read_text())
        data = folder / "shards" / name / "data.mdb"
        assert about["files"]["data.mdb"] == sealing.identity(data)
        assert about["videos"] == len(store.videos_in(name))
    add(store, "more", 90)
    add(store, "v00", 3, replace=True)
    store.delete("v01")
    store.close()
    store = open_store(folder, "a")
    add(store, "v01", 5)
    assert {path: path.read_bytes() for path in before} == before
    assert store.videos() == sorted([*VIDEOS, "more"])
    for video in store.videos():
        check(store, video)
    assert (store.video("v00").pairs, store.video("v01").pairs) == (3, 5)
    store.close()
    report = verify(folder)
    assert not report.damaged
    assert report.videos == len(VIDEOS) + 1
    assert report.to_json()["hidden"] == 2


def test_a_sealed_shard_is_read_without_locks_and_needs_none(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    filled(folder, VIDEOS).close()
    for name in sealed(folder):
        (folder / "shards" / name / "claim").unlink()
    (folder / "publish").unlink()
    store = open_store(folder)
    for video in VIDEOS:
        check(store, video)
    for name in sealed(folder):
        assert not (folder / "shards" / name / "claim").exists()


def test_nobody_claims_a_sealed_shard(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    filled(folder, VIDEOS).close()
    for name in sealed(folder):
        with unclaimed(folder / "shards" / name) as free, unopened(folder / "shards" / name):
            assert free
    store = open_store(folder, "a")
    add(store, "new", 2)
    assert store._locate("new").shard not in sealed(folder)
    part = store.part(sealed(folder)[0])
    with pytest.raises(StoreError, match="is sealed"):
        part.write(lambda txn: None)


def test_a_shard_is_not_sealed_under_a_video_in_hand(tmp_path: Path) -> None:
    """Threads of one process share its shard."""
    store = open_store(tmp_path / "s", "w", RAW)
    add(store, "first", 300)  # full now
    with store.write("long") as w:
        w.flow(codes("long", 5))
        name = store.shards()[-1]
        thread = threading.Thread(target=add, args=(store, "short", 300))
        thread.start()
        thread.join()
        assert store._locate("short").shard == name
        for frame in codes("long", 6):
            w.frame(frame.reshape(6, 10, 2)[..., [0, 1, 0]])
        w.finish(fps=25.0)
    assert "long" in store
    add(store, "next", 3)
    assert store._locate("next").shard != name
    assert len(sealed(tmp_path / "s")) == 2


def test_writers_at_once_seal_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    open_store(folder, "w", RAW).close()

    def write(mine: str) -> None:
        with open_store(folder, "a") as store:
            for video, pairs in VIDEOS.items():
                add(store, mine + video, pairs)

    for child in [start(write, mine) for mine in "abc"]:
        end(child)
    store = open_store(folder)
    assert len(store) == 3 * len(VIDEOS)
    for video in store.videos():
        check(store, video)
    assert len(sealed(folder)) >= 9
    store.close()
    assert not verify(folder).damaged


def test_changed_sealed_shards_are_seen_and_salvaged(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    filled(folder, VIDEOS).close()
    name = sorted(sealed(folder))[1]
    data = folder / "shards" / name / "data.mdb"
    content = bytearray(data.read_bytes())
    store = open_store(folder)
    video = store.videos_in(name)[0]
    others = store.videos_in(name)[1:]
    store.close()
    content[content.index(codes(video, VIDEOS[video])[2].tobytes())] ^= 1
    data.write_bytes(content)
    report = verify(folder)
    assert [part.name for part in report.shards if part.broken] == [name]
    assert "was changed since it was sealed" in report.to_json()["broken_shards"][name]
    assert sorted(verify(folder, repair=True).salvaged) == others
    after = verify(folder)
    assert (after.damaged, after.videos) == (False, len(VIDEOS) - 1)
    store = open_store(folder)
    for each in store.videos():
        check(store, each)


def test_a_lost_shard_is_named_and_given_up(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    filled(folder, VIDEOS).close()
    name = sorted(sealed(folder))[0]
    store = open_store(folder)
    lost = store.videos_in(name)
    shutil.rmtree(folder / "shards" / name)
    with pytest.raises(StoreError, match="cannot be opened"):
        check(store, lost[0])
    store.close()
    assert name in verify(folder).to_json()["broken_shards"]
    verify(folder, repair=True)
    after = verify(folder)
    assert (after.damaged, after.videos) == (False, len(VIDEOS) - len(lost))


def test_compact_gives_back_what_sealed_shards_lost(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    store = filled(folder, VIDEOS)
    gone = store.videos_in("000000")[1:]
    kept = store.videos_in("000000")[:1]
    whole = contents(folder)
    for video in gone:
        store.delete(video)
    store.close()
    reader = open_store(folder)
    check(reader, kept[0])  # mapped while it is exchanged
    done = {part.name: part for part in compact(folder)}
    assert done["000000"].after < done["000000"].before
    assert "000000" not in os.listdir(folder / "shards")
    check(reader, kept[0])
    for path, content in whole.items():
        assert path.parent.name == "000000" or path.read_bytes() == content
    for store in (reader, open_store(folder)):
        assert store.videos() == sorted(set(VIDEOS) - set(gone))
        for video in store.videos():
            check(store, video)
    report = verify(folder)
    assert not report.damaged
    assert report.to_json()["hidden"] == 0


def test_sealed_videos_whose_lines_were_lost_come_back(tmp_path: Path) -> None:
    """As from a backup whose index is older than its shards: nothing is taken for deleted."""
    folder = tmp_path / "s"
    store = filled(folder, VIDEOS)
    store.delete("v00")
    store.close()
    log = folder / "index.log"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(line for line in lines if b'"v03"' not in line))
    assert "v03" not in open_store(folder)
    compact(folder)
    store = open_store(folder)
    assert store.videos() == sorted(set(VIDEOS) - {"v00"})
    check(store, "v03")


def test_more_shards_than_a_process_may_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "MOST_OPEN", 2)
    folder = tmp_path / "s"
    filled(folder, VIDEOS).close()
    reader = open_store(folder)
    for _ in range(2):
        for video in VIDEOS:
            check(reader, video)
            assert sum(part.mapped for part in reader._shards.values()) <= 2
    threads = [
        threading.Thread(target=lambda n=n: [check(reader, v) for v in list(VIDEOS)[n:]])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
