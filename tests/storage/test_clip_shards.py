"""Shards hold every item of the store once, byte for byte, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import struct
import tarfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from children import in_child, start
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Store, StoreConfig, StoreError, UserError, VideoMeta, open_store
from storage.errors import DamageError, WorkFailed
from storage.shards import ClipShards, CodedClip, ShardIndex
from storage.shards.deal import ClipSpan, clip_spans, deal_out, mixed
from storage.shards.packing import CodedItems, pack_items
from storage.shards.shard_export import each_shard

H, W = 16, 20
PAIRS = {"a.b": 3, "c/d": 40, "_e": 17, "c/d/e": 33, "ünï": 20}
FIELDS = ("forward", "backward", "warped")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Random flow of three fields, with frames and step 2."""
    config = StoreConfig(codec="within:0.08", frame_codec="jpeg:90", fields=FIELDS, step=2)
    rng = np.random.default_rng(0)
    with open_store(tmp_path_factory.mktemp("clips") / "store", "w", config) as store:
        for video, pairs in PAIRS.items():
            with store.write(video) as writer:
                for name in FIELDS:
                    writer.flow(rng.integers(120, 136, (pairs, 2, H, W), np.uint8), name)
                for _ in range(pairs + 2):
                    writer.frame(rng.integers(0, 256, (H, W, 3), np.uint8))
                writer.finish(fps=25)
    return store


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def members_of(out: Path) -> dict[str, dict[str, bytes]]:
    """Key -> ending -> bytes of every tar."""
    samples: dict[str, dict[str, bytes]] = defaultdict(dict)
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                key, _, ending = info.name.partition(".")
                samples[key][ending] = tar.extractfile(info).read()  # type: ignore[union-attr]
    return samples


SMALL = ClipShards(pairs_each=8, shard_bytes=40_000)
NAMES = st.text("a.b/_%é\ud800", min_size=1, max_size=5)
FEW = ["_e", "ünï"]


def test_every_item_of_the_store_is_in_one_clip_byte_for_byte(store: Store, tmp_path: Path) -> None:
    labels = {"c/d": 4, "a.b": 0}
    done = SMALL.export(store, store.videos(), tmp_path / "out", labels)
    assert not done.failed
    samples = members_of(tmp_path / "out")
    assert len(samples) == done.done == SMALL.count(store, store.videos()) == 1 + 5 + 2 + 4 + 2
    items: dict[tuple[str, str], dict[int, bytes]] = defaultdict(dict)
    for members in samples.values():
        said = json.loads(members["json"])
        assert members.get("cls", b"none") == str(labels.get(said["video"], "none")).encode()
        for kind in (*FIELDS, "frames"):
            for place, item in enumerate(CodedItems(members[kind]), said["first"]):
                assert place not in items[said["video"], kind]
                items[said["video"], kind][place] = item
    for video, pairs in PAIRS.items():
        for kind in (*FIELDS, "frames"):
            count = pairs + 2 * (kind == "frames")
            stored = store.read_encoded(video, kind, 0, count)
            assert [items[video, kind][i] for i in range(count)] == stored
    assert sorted(json.loads(m["json"])["number"] for m in samples.values()) == list(range(14))


def test_a_stranger_reads_a_clip_without_this_program(store: Store, tmp_path: Path) -> None:
    """What docs/convert.md says of the members is enough."""
    SMALL.export(store, ["c/d"], tmp_path / "out")
    for members in members_of(tmp_path / "out").values():
        said, data = json.loads(members["json"]), members["forward"]
        (count,) = struct.unpack_from("<I", data)
        lengths = [struct.unpack_from("<II", data, 4 + 8 * i)[0] for i in range(count)]
        at = 4 + 8 * count
        for pair, length in enumerate(lengths):
            grey = cv2.imdecode(np.frombuffer(data[at : at + length], np.uint8), 0)
            flow = store.read_flow("c/d", said["first"] + pair, 1)
            assert np.array_equal(grey.reshape(2, H, W), flow[0])
            at += length
        assert at == len(data)


def test_a_clip_is_read_as_a_store_is(store: Store, tmp_path: Path) -> None:
    SMALL.export(store, ["c/d"], tmp_path / "out")
    for members in members_of(tmp_path / "out").values():
        clip = CodedClip(store.meta, members)
        video, first = "c/d", clip.first
        assert clip.video(video).pairs == 8
        for name in FIELDS:
            stored = store.read_flow(video, first + 2, 5, name)
            assert np.array_equal(clip.read_flow(video, 2, 5, name), stored)
        last = clip.about.frames - 1
        frames = store.read_frames(video, [first + last, first])
        assert np.array_equal(clip.read_frames(video, [last, 0]), frames)
        with pytest.raises(UserError, match="forward 8 of 'c/d' is not in this clip"):
            clip.read_flow(video, 7, 2)
        with pytest.raises(UserError, match="frames -1 of 'c/d' is not in this clip"):
            clip.read_frames(video, [-1])
        with pytest.raises(StoreError, match="lacks items"):
            CodedClip(store.meta, {k: v for k, v in members.items() if k != "backward"})


def test_the_index_says_what_is_there(store: Store, tmp_path: Path) -> None:
    done = SMALL.export(store, store.videos(), tmp_path, {"c/d": 1}, ("run", "walk"))
    index = ShardIndex.from_text((tmp_path / "shards.json").read_text(), "here")
    assert index.to_text() == (tmp_path / "shards.json").read_text()
    assert (index.samples, index.videos, index.classes) == (14, 5, ("run", "walk"))
    assert index.store == store.meta
    assert [shard.bytes for shard in index.shards] == [
        (tmp_path / shard.name).stat().st_size for shard in index.shards
    ]
    assert done.bytes == sum(shard.bytes for shard in index.shards)
    assert len(index.shards) > 2


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["webdataset", "litdata"])
def test_the_number_of_processes_changes_no_byte(layout: Any, store: Store, tmp_path: Path) -> None:
    shards = ClipShards(layout, pairs_each=8, shard_bytes=40_000)
    shards.export(store, store.videos(), tmp_path / "one")
    shards.export(store, store.videos()[::-1], tmp_path / "two", jobs=2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert len(tree(tmp_path / "one")) > 3


def export_and_die(store: Store, out: Path, at: int, before: bool) -> None:
    """SIGKILL at the `at`-th time that a file gets its name: just before, or just after."""
    replace, count = os.replace, 0

    def dying(*names: Any) -> None:
        nonlocal count
        count += 1
        if count == at and before:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*names)
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = dying  # type: ignore[assignment]
    SMALL.export(store, FEW, out)


def test_a_killed_export_goes_on_and_ends_with_the_same_bytes(store: Store, tmp_path: Path) -> None:
    SMALL.export(store, FEW, tmp_path / "whole")
    whole = tree(tmp_path / "whole")
    assert len(whole) > 2
    files = 2 + 2 * (len(whole) - 1)  # the plan, a row and a shard each, the index
    for at in range(1, files + 1):
        for before in (True, False) if at < 4 or at == files else (False,):
            out = tmp_path / f"{at} {before}"
            in_child(export_and_die, store, out, at, before, code=-signal.SIGKILL)
            kept = {p.name: p.stat().st_ino for p in out.glob("shard-*.tar")}
            done = SMALL.export(store, FEW, out)
            assert done.done + done.there == 4
            assert tree(out) == whole
            assert {name: (out / name).stat().st_ino for name in kept} == kept
            assert not list(out.glob(".*"))


class DyingJob:
    """A shard whose process is killed."""

    def __call__(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_worker_ends_the_export_with_one_line() -> None:
    with pytest.raises(WorkFailed, match="the same command goes on"):
        list(each_shard([DyingJob(), DyingJob()], 2))  # type: ignore[list-item]


def test_what_could_not_be_read_is_named_and_tried_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SMALL.export(store, store.videos(), tmp_path / "whole")
    read: Callable[..., list[bytes]] = Store.read_encoded

    def damaged(self: Store, video: str, kind: str, start: int, length: int) -> list[bytes]:
        if (video, start) == ("c/d", 8):
            raise DamageError("a record does not match its checksum")
        return read(self, video, kind, start, length)

    monkeypatch.setattr(Store, "read_encoded", damaged)
    for _ in range(2):  # said again, it is tried again
        done = SMALL.export(store, store.videos(), tmp_path / "out")
        assert done.failed == {"c/d/000008": "a record does not match its checksum"}
        assert done.done + done.there == 13
    assert done.there > done.done
    index = ShardIndex.from_text((tmp_path / "out" / "shards.json").read_text(), "here")
    assert (index.samples, index.clips) == (13, 14)
    monkeypatch.setattr(Store, "read_encoded", read)
    assert not SMALL.export(store, store.videos(), tmp_path / "out").failed
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_shards_of_other_content_or_options_are_not_mixed(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    SMALL.export(store, store.videos(), out, {"c/d": 1})
    before = tree(out)
    others: list[Callable[[], object]] = [
        lambda: SMALL.export(store, store.videos(), out),
        lambda: SMALL.export(store, ["c/d"], out, {"c/d": 1}),
        lambda: ClipShards(pairs_each=9).export(store, store.videos(), out, {"c/d": 1}),
    ]
    for other in others:
        with pytest.raises(UserError, match="other videos, labels or options"):
            other()
    assert tree(out) == before
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "shards.json").write_text('{"pictures": {}, "shards": {}}')
    with pytest.raises(UserError, match="--to webdataset-pictures"):
        SMALL.export(store, store.videos(), tmp_path / "old")


def test_two_exports_do_not_write_to_one_folder(store: Store, tmp_path: Path) -> None:
    def wait(clips: int) -> None:
        (tmp_path / "ready").touch()
        while True:
            signal.pause()

    child = start(SMALL.export, store, store.videos(), tmp_path / "out", None, (), 1, wait)
    try:
        while not (tmp_path / "ready").exists():
            assert child.is_alive()
        with pytest.raises(UserError, match="another export"):
            SMALL.export(store, store.videos(), tmp_path / "out")
    finally:
        child.kill()
        child.join()
    assert SMALL.export(store, store.videos(), tmp_path / "out").there > 0


@settings(max_examples=40)
@given(pairs=st.integers(1, 500), each=st.integers(1, 100), more=st.integers(0, 9))
def test_clips_part_a_video(pairs: int, each: int, more: int) -> None:
    about = VideoMeta("v", frames=pairs + more, pairs=pairs, height=1, width=1, fps=25)
    spans = clip_spans(about, each)
    assert [i for s in spans for i in range(s.first, s.stop)] == list(range(pairs))
    assert [i for s in spans for i in s.frames(about)] == list(range(pairs + more))
    sizes = {s.stop - s.first for s in spans}
    assert max(sizes) - min(sizes) <= 1
    assert sizes == {pairs} if pairs < each else min(sizes) >= each
    assert max(sizes) < max(2 * each, 2)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 10**6)), max_size=20))
def test_shards_hold_every_clip_once_and_no_more_than_asked(counts: list[tuple[int, int]]) -> None:
    metas = [
        VideoMeta(f"v{i}", frames=0, pairs=pairs, height=1, width=1, fps=25, size=size)
        for i, (pairs, size) in enumerate(counts)
    ]
    clips = mixed(metas, 16)
    sizes = dict(clips)
    shards = deal_out(clips, 50_000)
    assert sorted(s for shard in shards for s in shard) == sorted(
        s for meta in metas for s in clip_spans(meta, 16)
    )
    for shard in shards:
        assert len(shard) == 1 or sum(sizes[span] for span in shard) <= 50_000


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=40), max_size=6), st.data())
def test_items_come_back_and_no_flipped_byte_passes(items: list[bytes], data: Any) -> None:
    packed = pack_items(items)
    assert list(CodedItems(packed)) == items
    place = data.draw(st.integers(0, len(packed) - 1))
    flipped = bytearray(packed)
    flipped[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamageError):
        list(CodedItems(bytes(flipped)))
    with pytest.raises(DamageError):
        list(CodedItems(packed[:-1]))


@settings(max_examples=40)
@given(NAMES, NAMES, st.integers(0, 99))
def test_keys_are_plain_and_different(one: str, two: str, first: int) -> None:
    keys = [ClipSpan(video, first, first + 1).key for video in (one, two)]
    assert (keys[0] == keys[1]) == (one == two)
    for key in keys:
        assert key.isascii()
        assert "." not in key
        assert not key.startswith("_")
        assert key.rpartition("/")[2] == f"{first:06d}"


@pytest.mark.parametrize("options", [{"pairs_each": 0}, {"shard_bytes": 0}])
def test_mistakes_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UserError, match="must be"):
        ClipShards(**options)  # type: ignore[arg-type]


def test_a_video_without_flow_is_named(tmp_path: Path) -> None:
    config = StoreConfig(codec="raw", frame_codec="raw")
    with open_store(tmp_path / "store", "w", config) as store:
        for video, pairs in (("still", 0), ("moving", 2)):
            with store.write(video) as writer:
                for _ in range(pairs + 1):
                    writer.frame(np.zeros((H, W, 3), np.uint8))
                writer.flow(np.zeros((pairs, 2, H, W), np.uint8))
                writer.finish(fps=25)
        done = ClipShards().export(store, store.videos(), tmp_path / "out")
    assert (done.done, done.failed) == (1, {"still": "has no flow"})
