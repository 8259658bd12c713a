"""Several stores become one without a copy, checked, and what disagrees is named."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_material import RAW, add, check, codes, filled, frames
from test_store_index import old_store

from storage.errors import StoreError, UserError
from storage.store import merging, sealing
from storage.store.compaction import compact
from storage.store.merging import merge
from storage.store.store import Store, open_store
from storage.store.verification import verify


def of_machine(path: Path, videos: dict[str, int]) -> Path:
    filled(path, videos).close()
    return path


def changed(path: Path, video: str, pairs: int) -> Path:
    """A store with a video of that name and another content."""
    with open_store(path, "a", RAW) as store, store.write(video) as w:
        w.flow(255 - codes(video, pairs))
        for frame in frames(video, pairs + 1):
            w.frame(frame)
        w.finish(fps=25.0)
    return path


def inodes(folder: Path) -> set[int]:
    return {path.stat().st_ino for path in folder.glob("shards/*/data.mdb")}


def whole(folder: Path, videos: dict[str, int]) -> Store:
    store = open_store(folder)
    assert {v: store.video(v).pairs for v in store.videos()} == videos
    for video in videos:
        check(store, video)
    store.close()
    report = verify(folder)
    assert not report.damaged
    assert report.videos == len(videos)
    return open_store(folder, "a")


def test_shards_are_linked_and_the_sources_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SHARD_BYTES", 150_000)
    one = {f"a{n}": 60 + n for n in range(8)}
    two = {f"b{n}": 60 + n for n in range(8)} | {"a3": 63}
    sources = [of_machine(tmp_path / "1", one), of_machine(tmp_path / "2", two)]
    result = merge(sources, tmp_path / "s", new=True)
    assert (result.videos, result.same, result.left_out, result.copied) == (16, 1, [], 0)
    assert inodes(tmp_path / "s") == inodes(sources[0]) | inodes(sources[1])
    store = whole(tmp_path / "s", one | two)
    before = {p: p.read_bytes() for source in sources for p in source.glob("shards/*/data.mdb")}
    add(store, "new", 90)
    store.delete("a1")
    add(store, "b1", 5, replace=True)
    store.close()
    compact(tmp_path / "s")
    assert {path: path.read_bytes() for path in before} == before
    whole(
        tmp_path / "s", {v: n for v, n in (one | two).items() if v != "a1"} | {"new": 90, "b1": 5}
    )
    for source, videos in zip(sources, (one, two), strict=True):
        add(whole(source, videos), "later", 2)  # each is a store that can be written as before
    assert "later" not in open_store(tmp_path / "s")


def test_a_store_is_merged_into_one_that_is_there(tmp_path: Path) -> None:
    into = of_machine(tmp_path / "s", {"a": 5, "b": 7})
    source = of_machine(tmp_path / "1", {"b": 7, "c": 9})
    result = merge([source], into, new=False)
    assert (result.videos, result.same) == (1, 1)
    whole(into, {"a": 5, "b": 7, "c": 9}).close()
    again = merge([source], into, new=False)
    assert (again.videos, again.same, again.shards) == (0, 2, 0)
    whole(into, {"a": 5, "b": 7, "c": 9})


def test_shards_move(tmp_path: Path) -> None:
    sources = [of_machine(tmp_path / n, {n: 9, "both": 4}) for n in "ab"]
    files = inodes(sources[0]) | inodes(sources[1])
    merge(sources, tmp_path / "s", new=True, move=True)
    assert inodes(tmp_path / "s") == files
    whole(tmp_path / "s", {"a": 9, "b": 9, "both": 4})
    for source in sources:
        add(whole(source, {}), "next", 3)


@pytest.mark.parametrize("new", [True, False])
def test_different_videos_of_one_name_are_named_and_refused(tmp_path: Path, new: bool) -> None:
    one = of_machine(tmp_path / "1", {"a": 5, "b": 7})
    two = changed(of_machine(tmp_path / "2", {"c": 3}), "b", 7)
    sources, out = ([one, two], tmp_path / "s") if new else ([two], one)
    with pytest.raises(StoreError, match=r"different videos.*'b' in .*1 and .*2;.*--on-conflict"):
        merge(sources, out, new=new)
    assert out.exists() == (not new)
    if not new:
        whole(one, {"a": 5, "b": 7}).close()
    result = merge(sources, out, new=new, refuse=False)
    assert result.left_out == ["b"]
    whole(out, {"a": 5, "b": 7, "c": 3})


def test_what_was_deleted_does_not_come_back(tmp_path: Path) -> None:
    source = of_machine(tmp_path / "1", {"a": 5, "b": 7})
    merge([source], tmp_path / "first", new=True)  # seals the shard
    with open_store(source, "a") as store:
        store.delete("a")
    merge([source], tmp_path / "s", new=True)
    whole(tmp_path / "s", {"b": 7})
    whole(tmp_path / "first", {"a": 5, "b": 7})


def test_old_stores_are_merged_and_their_videos_compared(tmp_path: Path) -> None:
    old_store(tmp_path / "1", {"a": 5, "b": 7})
    two = of_machine(tmp_path / "2", {"b": 7, "c": 3})
    assert merge([tmp_path / "1", two], tmp_path / "s", new=True).same == 1
    whole(tmp_path / "s", {"a": 5, "b": 7, "c": 3})
    old_store(tmp_path / "3", {"a": 6})
    with pytest.raises(StoreError, match="'a'"):
        merge([tmp_path / "3"], tmp_path / "s", new=False)


def test_a_damaged_shard_is_not_taken(tmp_path: Path) -> None:
    source = of_machine(tmp_path / "1", {"a": 5, "b": 40})
    merge([source], tmp_path / "first", new=True)
    data = source / "shards/000000/data.mdb"
    content = data.read_bytes()
    at = content.index(codes("b", 40)[20].tobytes())
    os.unlink(data)  # the file itself is shared
    data.write_bytes(content[:at] + b"?" + content[at + 1 :])
    with pytest.raises(StoreError, match="was changed since it was sealed"):
        merge([source], tmp_path / "s", new=True)
    assert not (tmp_path / "s").exists()
    whole(tmp_path / "first", {"a": 5, "b": 40})


def test_mistakes_are_named_before_anything_is_changed(tmp_path: Path) -> None:
    one, two = (of_machine(tmp_path / n, {n: 3}) for n in "12")
    other = tmp_path / "other"
    open_store(other, "w", dataclasses.replace(RAW, step=2)).close()
    writer = open_store(two, "a")
    for sources, out, new, says in [
        ([one, other], tmp_path / "s", True, "different ways.*step"),
        ([one], other, False, "made in another way"),
        ([one], two, True, "is a store already"),
        ([one, one], tmp_path / "s", True, "named twice"),
        ([one], one, False, "named twice"),
        ([tmp_path / "nowhere"], tmp_path / "s", True, "not a store"),
    ]:
        with pytest.raises((StoreError, UserError), match=says):
            merge(sources, out, new=new)
    assert not list((tmp_path / "1").glob("shards/*/sealed.json"))
    with writer.write("held") as w:
        with pytest.raises(StoreError, match="is being written"):
            merge([two], tmp_path / "s", new=True)
        w.finish(fps=1)
    writer.close()
    assert not (tmp_path / "s").exists()


def test_a_merge_that_is_killed_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [of_machine(tmp_path / n, {n: 9, "both": 4}) for n in "abc"]
    into = of_machine(tmp_path / "s", {"mine": 2})
    rename, count = merging.rename_new, iter(range(9))

    def dies(fresh: Path, shards: Path) -> str:
        name = rename(fresh, shards)
        if next(count) == 1:
            raise KeyboardInterrupt
        return name

    monkeypatch.setattr(merging, "rename_new", dies)
    with pytest.raises(KeyboardInterrupt):
        merge(sources, into, new=False)
    videos = {"mine": 2, "a": 9, "b": 9, "both": 4}
    store = open_store(into)
    assert set(store.videos()) <= set(videos)
    merge(sources, into, new=False)
    whole(into, videos | {"c": 9})


def test_stores_that_share_shards_are_read_in_one_process(tmp_path: Path) -> None:
    source = of_machine(tmp_path / "1", {"a": 5, "b": 7})
    merge([source], tmp_path / "s", new=True)
    stores = [open_store(source), open_store(tmp_path / "s")]
    for _ in range(2):
        for store in stores:
            check(store, "a")
            check(store, "b")
        stores[0].close()  # and opens again


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True)
    if done.returncode:
        pytest.skip("this needs to mount, which is not allowed here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("move", [False, True])
def test_from_another_file_system_shards_are_copied(
    tmp_path: Path, other_disk: Path, move: bool
) -> None:
    source = of_machine(other_disk / "1", {"a": 5, "b": 7})
    result = merge([source], tmp_path / "s", new=True, move=move)
    assert result.linked == 0
    assert result.copied > 10_000
    shutil.rmtree(source)
    whole(tmp_path / "s", {"a": 5, "b": 7})


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from scripts.merge import main

    for name in "ab":
        of_machine(tmp_path / name, {name: 3, "both": 2})
    words = [str(tmp_path / "a"), str(tmp_path / "b"), "--quiet"]
    assert main(words) == 2
    assert "--out NEW or --into STORE" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "s"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["videos"], found["same"], found["shards"]) == (3, 1, 2)
    assert main([*words, "--into", str(tmp_path / "s")]) == 0
    assert "4 were there already" in capsys.readouterr().out
