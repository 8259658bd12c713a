"""Videos are found by `index.log` alone: at one price, without a look into anybody's live shard."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from children import FORK, end, in_child, start
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_material import RAW, add, check, filled
from test_store import ODD_IDS

from storage.errors import StoreError
from storage.store import claim, locks, manifest
from storage.store.compaction import compact
from storage.store.index import Index
from storage.store.lines import coded
from storage.store.shard import Shard
from storage.store.store import Store, open_store
from storage.store.verification import verify
from storage.store.writer import VideoWriter


def old_store(path: Path, videos: dict[str, int]) -> None:
    """As older versions left it: no index beside the shards."""
    filled(path, videos).close()
    (path / "index.log").unlink()
    content = json.loads((path / "store.json").read_text())
    del content["requires"]
    (path / "store.json").write_text(json.dumps(content | {"schema": 1}))


def test_what_is_there_is_known_without_a_look_into_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So another machine may ask while their owners write them."""
    folder = tmp_path / "s"
    store = filled(folder, {"a": 5, "b": 9})
    in_child(lambda: add(open_store(folder, "a"), "c", 3))
    assert store.shards() == ["000000", "000001"]

    def opened(*_: object) -> None:
        raise AssertionError("a shard was opened")

    monkeypatch.setattr(Shard, "_open_environment", opened)
    reader = open_store(folder)
    assert reader.videos() == ["a", "b", "c"]
    assert [meta.pairs for meta in sorted(reader.metas(), key=lambda m: m.video)] == [5, 9, 3]
    assert (reader.video("b").source, len(reader)) == ({"name": "b.avi"}, 3)
    assert "d" not in reader
    assert reader.videos_in("000001") == ["c"]


def test_a_second_look_reads_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path / "s", {str(n): 0 for n in range(50)})
    reader = open_store(tmp_path / "s")
    assert len(reader) == 50
    read: list[int] = []
    pread = os.pread

    def counted(descriptor: int, length: int, at: int) -> bytes:
        data = pread(descriptor, length, at)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counted)
    for _ in range(20):
        assert "x" not in reader
    assert not read
    add(store, "x", 0)
    read.clear()
    assert "x" in reader
    assert sum(read) < 2 * os.path.getsize(tmp_path / "s/index.log") / 50 + 4096


def test_only_the_line_is_written_under_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a video is in its shard before any writer has to wait for another one."""
    store = filled(tmp_path / "s", {"a": 3})
    inside: list[bool] = []
    publish, write = VideoWriter.publish, Shard.write

    def looked(self: Shard, work: object) -> object:
        inside.append(claim._publishing.locked())
        return write(self, work)  # type: ignore[arg-type]

    def published(self: VideoWriter) -> None:
        assert not claim._publishing.locked()
        publish(self)

    monkeypatch.setattr(Shard, "write", looked)
    monkeypatch.setattr(VideoWriter, "publish", published)
    add(store, "b", 20)
    add(store, "a", 7, replace=True)
    store.delete("b")
    assert inside
    assert not any(inside)


@pytest.mark.parametrize("step", ["stored", "shown"])
@pytest.mark.parametrize("replace", [False, True])
def test_a_kill_on_either_side_of_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, replace: bool
) -> None:
    """Before it, nothing has changed for anybody; after it, everything has."""
    folder = tmp_path / "s"
    filled(folder, {"a": 20, "b": 3}).close()
    video = "a" if replace else "new"

    def die() -> None:
        append = Index.append

        def kill(index: Index, lines: list[str], soon: bool = False) -> None:
            if step == "shown":
                append(index, lines, soon)
            os.kill(os.getpid(), signal.SIGKILL)

        Index.append = kill  # type: ignore[method-assign]
        add(open_store(folder, "a"), video, 7, replace=replace)

    in_child(die, code=-signal.SIGKILL)
    store = open_store(folder, "a")
    expected = {"a": 20, "b": 3} | ({video: 7} if step == "shown" else {})
    assert {v: store.video(v).pairs for v in store.videos()} == expected
    for name in expected:
        check(store, name)
    add(store, "next", 4)  # whoever writes next clears up
    store.close()
    store = open_store(folder)
    if step == "stored" and not replace:  # it was whole, and nobody else has the name
        expected["new"] = 7
    assert {v: store.video(v).pairs for v in store.videos()} == expected | {"next": 4}
    for name in store.videos():
        check(store, name)
    report = verify(folder)
    assert not report.damaged
    found = report.to_json()
    assert (found["hidden"], found["unfinished"], found["stray_records_of"]) == (0, 0, 0)


def test_a_line_that_the_power_took_is_written_again(tmp_path: Path) -> None:
    """The shard is on the disk before its line is."""
    folder = tmp_path / "s"
    filled(folder, {"a": 5, "b": 7}).close()
    log = folder / "index.log"
    before = log.read_bytes()
    lines = before.splitlines(keepends=True)
    log.write_bytes(b"".join(line for line in lines if b'"b"' not in line))
    with open_store(folder, "a") as store:
        assert store.videos() == ["a"]
        add(store, "c", 3)
        assert store.videos() == ["a", "b", "c"]
    for video in "abc":
        check(open_store(folder), video)


def test_lines_are_pushed_to_the_disk_before_anything_goes_because_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fdatasync, write = os.fdatasync, Shard.write

    def pushed(descriptor: int) -> None:
        events.append("push")
        fdatasync(descriptor)

    def noted(self: Shard, work: object) -> object:
        events.append("shard")
        return write(self, work)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fdatasync", pushed)
    monkeypatch.setattr(Shard, "write", noted)
    monkeypatch.setattr("storage.store.index.LATEST", 1e9)
    store = filled(tmp_path / "s", {"a": 3})
    events.clear()
    add(store, "b", 3)
    assert events == ["shard"]  # an addition does not wait for the disk a second time
    store.delete("a")
    assert events[1:3] == ["push", "shard"]
    events.clear()
    add(store, "b", 4, replace=True)
    assert events[:3] == ["shard", "push", "shard"]
    add(store, "c", 3)
    events.clear()
    store.close()
    assert events == ["push"]


def test_what_another_writer_holds_is_deleted_at_once_and_cleared_later(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    store = filled(folder, {"mine": 3})

    def write(ready: object, go: object) -> None:
        other = open_store(folder, "a")
        add(other, "theirs", 9)
        ready.set()  # type: ignore[attr-defined]
        assert go.wait(60)  # type: ignore[attr-defined]
        assert "theirs" not in other
        add(other, "theirs", 4)

    ready, go = FORK.Event(), FORK.Event()
    child = start(write, ready, go)
    assert ready.wait(60)
    reader = open_store(folder)
    check(reader, "theirs")
    store.delete("theirs")
    with pytest.raises(StoreError, match="not in"):
        reader.read_flow("theirs", 0, 1)
    go.set()
    end(child)
    check(reader, "theirs")
    assert reader.video("theirs").pairs == 4
    store.close()
    compact(folder)
    report = verify(folder).to_json()
    assert (report["videos"], report["hidden"], report["stray_records_of"]) == (2, 0, 0)


def test_an_old_store_is_read_as_it_is_and_changed_by_the_first_addition(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    videos = {"a": 5, "b": 40, "x" * 600: 3, "\udcff": 1, "é\n": 2}
    old_store(folder, videos)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    reader = open_store(folder)
    for video in videos:
        check(reader, video)
    assert verify(folder).videos == len(reader) == len(videos)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    data = folder / "shards/000000/data.mdb"
    size, number = data.stat().st_size, reader._locate("b").entry.number
    with open_store(folder, "a", RAW) as store:
        add(store, "new", 2)
        assert store._locate("b").entry.number == number  # nothing was copied
    assert data.stat().st_size <= size + (1 << 16)
    content = json.loads((folder / "store.json").read_text())
    assert (content["schema"], content["requires"]) == (2, ["index.log", "sealed.json"])
    assert reader.videos() == sorted([*videos, "new"])  # which was open all the while
    for video in reader.videos():
        check(reader, video)
    assert not verify(folder).damaged


def test_compact_changes_an_old_store_too(tmp_path: Path) -> None:
    old_store(tmp_path / "s", {"a": 5, "b": 7})
    compact(tmp_path / "s")
    assert (tmp_path / "s/index.log").exists()
    check(open_store(tmp_path / "s"), "b")
    assert not verify(tmp_path / "s").damaged


@pytest.mark.parametrize("stage", ["manifest", "index"])
def test_a_change_of_an_old_store_that_is_killed_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    folder = tmp_path / "s"
    old_store(folder, {"a": 5})

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    if stage == "manifest":
        monkeypatch.setattr(manifest, "upgrade_manifest", dies)
    else:
        monkeypatch.setattr(Index, "append", dies)
    with pytest.raises(KeyboardInterrupt):
        add(open_store(folder, "a"), "b", 3)
    monkeypatch.undo()
    check(open_store(folder), "a")
    store = open_store(folder, "a")
    add(store, "b", 3)
    assert store.videos() == ["a", "b"]


def test_what_a_reader_would_misread_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    filled(folder, {"a": 1}).close()
    path = folder / "store.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"requires": [*content["requires"], "video in colour"]}))
    with pytest.raises(StoreError, match="needs video in colour"):
        open_store(folder)
    path.write_text(json.dumps(content))
    with open(folder / "index.log", "ab") as file:
        file.write(coded(["paint 000000 blue"]))
    with pytest.raises(StoreError, match=r"another version.*paint"):
        open_store(folder).videos()


def test_an_exchanged_index_is_read_anew(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", {str(n): n for n in range(9)})
    reader = open_store(tmp_path / "s")
    metas = reader.metas()
    next(metas)
    for n in range(8):
        store.delete(str(n))
    store.close()
    compact(tmp_path / "s")
    assert len(list(metas)) == 8  # what was there when it was asked
    assert reader.videos() == ["8"]
    check(reader, "8")
    assert b"- 000000" in (tmp_path / "s/index.log").read_bytes()


def test_a_store_that_is_read_only_has_no_index_made(tmp_path: Path) -> None:
    old_store(tmp_path / "s", {"a": 5})
    check(open_store(tmp_path / "s", "a"), "a")
    assert not (tmp_path / "s/index.log").exists()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("adr"), st.sampled_from(ODD_IDS[:6]), st.integers(0, 3)),
        max_size=12,
    )
)
def test_any_order_of_additions_and_deletions(
    tmp_path: Path, steps: list[tuple[str, str, int]]
) -> None:
    """Two stores of one folder, one reader that looks only now and then, and a plain dict."""
    shutil.rmtree(tmp_path / "s", ignore_errors=True)
    store: Store = open_store(tmp_path / "s", "w", RAW)
    reader = open_store(tmp_path / "s")
    truth: dict[str, int] = {}
    for number, (what, video, pairs) in enumerate(steps):
        if (what == "a" and video not in truth) or what == "r":
            add(store, video, pairs, replace=what == "r")
            truth[video] = pairs
        elif what == "d" and video in truth:
            store.delete(video)
            del truth[video]
        if number % 3 == 0:
            assert reader.videos() == sorted(truth)
    store.close()
    fresh = open_store(tmp_path / "s")
    for each in (reader, fresh):
        assert {v: each.video(v).pairs for v in each.videos()} == truth
        assert len(each) == len(truth)
    for video in truth:
        check(fresh, video)
    report = verify(tmp_path / "s").to_json()
    assert (report["videos"], report["hidden"], report["damaged"]) == (len(truth), 0, [])
    for each in (store, reader, fresh):
        each.close()
    locks._kept.clear()
