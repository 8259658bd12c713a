"""docs/store.md is enough to read and to write a store: `stranger` knows nothing else."""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from children import FORK, end, in_child, start
from kept_values import FIELDS, KEPT_STORES, unpack
from store_material import RAW, add, check, codes, filled, frames
from stranger import Reader, Writer
from test_store import ODD_IDS

from storage import Quantizer, StoreConfig, open_store
from storage.store import sealing
from storage.store.merging import merge
from storage.store.verification import verify


def same(folder: Path) -> None:
    """The stranger reads what we read. It needs a process of its own: LMDB opens no file twice."""
    with open_store(folder) as store:
        metas = {meta.video: meta for meta in store.metas()}
        flow = {
            (video, field): store.read_flow(video, 0, meta.pairs, field)
            for video, meta in metas.items()
            for field in store.meta.fields
        }
        pictures = {
            video: store.read_frames(video, range(meta.frames))
            for video, meta in metas.items()
            if store.meta.frame_codec != "none"
        }
        jpeg = store.meta.frame_codec.startswith("jpeg")
    reader = Reader(folder)
    assert reader.videos.keys() == metas.keys()
    for video, meta in metas.items():
        entry = reader.videos[video][1]
        assert {name: entry[name] for name in meta.to_json()} == meta.to_json()
    for (video, field), expected in flow.items():
        if len(expected):
            np.testing.assert_array_equal(reader.flow(video, field), expected)
    for video, expected in pictures.items():
        found = reader.frames(video)
        assert found.shape == expected.shape
        # another JPEG decoder may round another way
        assert np.abs(found.astype(int) - expected).max() <= (3 if jpeg else 0)


def test_it_imports_nothing_of_ours() -> None:
    tree = ast.parse((Path(__file__).parent / "stranger.py").read_text())
    modules = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {m.split(".")[0] for m in modules} & {"storage", "flow", "twostream", "scripts"}


@pytest.mark.parametrize("name", KEPT_STORES)
def test_stores_of_layout_1_are_read(tmp_path: Path, name: str) -> None:
    in_child(same, unpack("stores", tmp_path) / name)


@pytest.mark.parametrize(
    "config",
    [
        StoreConfig(codec="lossless", frame_codec="lossless", fields=FIELDS),
        StoreConfig(Quantizer("round"), codec="jpeg:80", frame_codec="none"),
        StoreConfig(codec="half:90", frame_codec="jpeg:90"),
        StoreConfig(codec="within:0.08", frame_codec="raw"),
        StoreConfig(codec="files", frame_codec="files"),
    ],
    ids=lambda config: config.codec,
)
def test_every_coding_is_read(tmp_path: Path, config: StoreConfig) -> None:
    """Odd sides, and more than one chunk."""

    def work() -> None:
        y, x = np.mgrid[:37, :51] / 9.0
        smooth = np.stack([np.stack([np.sin(x + t), np.cos(y - t)]) * 5 for t in range(20)])
        with open_store(tmp_path / "s", "w", config) as store, store.write("a") as w:
            for field in config.fields:
                w.flow(config.quantizer.quantize(smooth), field)
            for n in range(21 if config.frame_codec != "none" else 0):
                w.frame(np.stack([x * 9, y * 20 + n, x * y], -1).astype(np.uint8))
            w.finish(fps=25.0)
        same(tmp_path / "s")

    in_child(work)


def test_odd_ids_deletions_and_several_shards_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SHARD_BYTES", 60_000)

    def work() -> None:
        store = filled(tmp_path / "s", {video: 4 + n for n, video in enumerate(ODD_IDS)})
        for video in ODD_IDS[::3]:
            store.delete(video)
        add(store, ODD_IDS[1], 30, replace=True)
        store.close()
        filled(tmp_path / "other", {"by hand": 3}).close()
        shutil.move(tmp_path / "other/shards/000000", tmp_path / "s/shards/000099")
        same(tmp_path / "s")

    in_child(work)
    assert list((tmp_path / "s").glob("shards/*/sealed.json"))


@pytest.mark.parametrize("codec", ["raw", "lossless"])
def test_what_a_stranger_writes_is_ours(tmp_path: Path, codec: str) -> None:
    folder = tmp_path / "s"
    config = StoreConfig(codec=codec, frame_codec=codec, fields=("forward", "backward"))

    def strange() -> None:
        writer = Writer(folder)
        for number, video in enumerate(ODD_IDS):
            flow = {f: codes(video + f, 7 + number) for f in config.fields}
            assert writer.add(video, flow, frames(video, 8 + number))
            assert not writer.add(video, flow, frames(video, 8 + number))
        writer.close()

    def ours() -> None:
        with open_store(folder, "w", config) as store:
            with store.write("ours") as w:
                for frame in frames("ours", 9):
                    w.frame(frame)
                for field in config.fields:
                    w.flow(codes("ours" + field, 8), field)
                w.finish(fps=25.0)
            in_child(strange)
            assert store.videos() == sorted([*ODD_IDS, "ours"])
            for number, video in enumerate(ODD_IDS):
                for field in config.fields:
                    np.testing.assert_array_equal(
                        store.read_flow(video, 0, 7 + number, field),
                        codes(video + field, 7 + number),
                    )
                np.testing.assert_array_equal(
                    store.read_frames(video, range(8 + number)), frames(video, 8 + number)
                )
            store.delete(ODD_IDS[0])

    in_child(ours)
    report = verify(folder)
    assert not report.damaged
    assert report.videos == len(ODD_IDS)
    in_child(same, folder)


def test_a_strangers_fingerprint_is_ours(tmp_path: Path) -> None:
    """So their stores merge with ours, and the same video counts once."""
    filled(tmp_path / "1", {"a": 33}).close()
    open_store(tmp_path / "2", "w", RAW).close()
    with open_store(tmp_path / "2", "a") as store:
        add(store, "b", 1)  # it makes index.log

    def strange() -> None:
        writer = Writer(tmp_path / "2")
        assert writer.add("a", {"forward": codes("a", 33)}, frames("a", 34))
        writer.close()

    in_child(strange)
    assert merge([tmp_path / "1", tmp_path / "2"], tmp_path / "s", new=True).same == 1
    check(open_store(tmp_path / "s"), "a")


def test_writers_of_both_kinds_at_once(tmp_path: Path) -> None:
    """Each video is stored once, by whoever comes first."""
    folder = tmp_path / "s"
    filled(folder, {"first": 1}).close()
    videos = {f"v{n:02d}": 5 + n for n in range(15)}

    def ours(queue: object) -> None:
        with open_store(folder, "a") as store:
            stored = 0
            for video, pairs in videos.items():
                if video not in store:
                    with store.write(video) as w:
                        for frame in frames(video, pairs + 1):
                            w.frame(frame)
                        w.flow(codes(video, pairs))
                        w.finish(fps=25.0)
                    stored += w.published
            queue.put(stored)  # type: ignore[attr-defined]

    def strange(queue: object) -> None:
        writer = Writer(folder)
        stored = 0
        for video, pairs in reversed(videos.items()):
            stored += writer.add(video, {"forward": codes(video, pairs)}, frames(video, pairs + 1))
        writer.close()
        queue.put(stored)  # type: ignore[attr-defined]

    queue = FORK.SimpleQueue()
    for child in [start(work, queue) for work in (ours, strange)]:
        end(child)
    assert queue.get() + queue.get() == len(videos)
    store = open_store(folder)
    assert store.videos() == sorted([*videos, "first"])
    for video in store.videos():
        check(store, video)
    store.close()
    assert not verify(folder).damaged


def test_the_flows_fingerprint_is_made_as_the_page_says() -> None:
    from flow.extraction.recipe import Recipe

    config = Recipe().config()
    text = json.dumps({"algorithm": config.algorithm, **config.parameters}, sort_keys=True)
    assert hashlib.sha256(text.encode("ascii")).hexdigest()[:16] == config.fingerprint


@pytest.mark.parametrize(("height", "width"), [(240, 320), (1080, 1920), (333, 777), (500, 301)])
def test_sizes_are_as_the_page_says(height: int, width: int) -> None:
    from flow.video.resize import Resize

    shorter, longer = sorted((height, width))
    other = (2 * longer * 256 + shorter) // (2 * shorter)
    expected = (256, other) if height <= width else (other, 256)
    assert Resize.parse("short-side 256").target(height, width) == expected
    assert Resize.parse("340x256").target(height, width) == (256, 340)
