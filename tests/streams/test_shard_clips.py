"""Clips from shards are the clips of the store, each once, however many read them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from surroundings import ROOT
from torch.utils.data import DataLoader

from storage import Quantizer, Store, StoreConfig, StoreError, UserError, open_remote, open_store
from storage.catalog.catalog import Clip
from storage.shards import ClipShards
from storage.shards.deal import clip_spans
from storage.store import merge
from streams import FlowClips
from streams.samples import ClipDataset, Draw, ShardClips
from streams.samples.flow_items import FlowItems

pytest.importorskip("webdataset", reason="webdataset is not installed: pip install .[shards]")
H, W = 24, 32
PAIRS = {"a/one": 40, "a/two": 16, "b/three": 7, "b/fo.ur": 55}
LABELS = {"a/one": 0, "a/two": 0, "b/three": 1}


def filled(path: Path) -> Store:
    config = StoreConfig(Quantizer("companded", 20), codec="within:0.08", frame_codec="jpeg:90")
    rng = np.random.default_rng(3)
    with open_store(path, "w", config) as store:
        for video, pairs in PAIRS.items():
            with store.write(video) as writer:
                writer.flow(rng.integers(90, 166, (pairs, 2, H, W), np.uint8))
                for _ in range(pairs + 1):
                    writer.frame(rng.integers(0, 256, (H, W, 3), np.uint8))
                writer.finish(fps=25)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return filled(tmp_path_factory.mktemp("from_shards") / "store")


@pytest.fixture(scope="module")
def shards(store: Store) -> Path:
    """12 clips of 8 pairs or more, in several shards."""
    out = store.folder.parent / "shards"
    ClipShards(pairs_each=8, shard_bytes=50_000).export(store, store.videos(), out, LABELS)
    assert len(list(out.glob("*.tar"))) >= 5
    return out


@pytest.fixture(scope="module")
def cut(store: Store) -> Store:
    """A store that holds each clip as a video of its own, named `VIDEO@FIRST`."""
    with open_store(store.folder.parent / "cut", "w", store.meta) as other:
        for video in store.videos():
            about = store.video(video)
            for span in clip_spans(about, 8):
                with other.write(f"{video}@{span.first}") as writer:
                    for kind, part in (
                        ("forward", range(span.first, span.stop)),
                        ("frames", span.frames(about)),
                    ):
                        for item in store.read_encoded(video, kind, part.start, len(part)):
                            writer.encoded(kind, item, H, W)
                    if span.stop < about.pairs:  # a pair's second frame, which no item shows
                        writer.frame(np.zeros((H, W, 3), np.uint8))
                    writer.finish(fps=25)
    return other


def hash_of(item: dict[str, Any]) -> str:
    digest = hashlib.sha256(f"{item['label']}".encode())
    for name in ("flow", "rgb"):
        digest.update(item[name].numpy().tobytes())
    return digest.hexdigest()


def hashes(items: Iterable[dict[str, Any]]) -> Counter[str]:
    return Counter(hash_of(item) for item in items)


def test_whole_videos_give_the_items_that_the_store_gives(store: Store, tmp_path: Path) -> None:
    """A clip as long as a video is the video."""
    ClipShards(pairs_each=1000).export(store, store.videos(), tmp_path, LABELS)
    options: dict[str, Any] = {"length": 5, "size": 16, "rgb": True, "segments": 3, "train": False}
    items = list(FlowClips.from_shards(tmp_path, **options))
    clips = [Clip(video, LABELS.get(video, -1), "") for video in store.videos()]
    assert hashes(items) == hashes(FlowClips(store.folder, clips, **options))
    assert sorted(item["video"] for item in items) == store.videos()


@pytest.mark.parametrize("workers", [0, 2])
def test_clips_give_the_items_that_the_store_gives(shards: Path, cut: Store, workers: int) -> None:
    options: dict[str, Any] = {"length": 8, "size": 16, "rgb": True, "layout": "video"}
    loader = DataLoader(
        FlowClips.from_shards(shards, train=False, **options),
        batch_size=None,
        num_workers=workers,
    )
    clips = [Clip(name, LABELS.get(name.split("@")[0], -1), "") for name in cut.videos()]
    expected = hashes(FlowClips(cut.folder, clips, train=False, **options))
    assert hashes(loader) == expected
    assert len(expected) == len(clips) == 14


def test_training_items_are_those_of_the_same_draws_from_the_store(
    shards: Path, cut: Store
) -> None:
    """Moment, crop and mirroring follow from seed, epoch and the clip's number."""
    data = FlowClips.from_shards(shards, length=4, size=16, rgb=True, seed=5, buffer=3)
    maker = FlowItems(cut.meta, length=4, size=16, rgb=True)
    numbers = {}
    for path in shards.glob("*.tar"):
        with tarfile.open(path) as tar:
            for info in tar:
                if info.name.endswith(".json"):
                    said = json.load(tar.extractfile(info))  # type: ignore[arg-type]
                    numbers[f"{said['video']}@{said['first']}"] = said["number"]
    clips = [Clip(name, LABELS.get(name.split("@")[0], -1), "") for name in cut.videos()]
    samples: ClipDataset = maker.samples(cut.folder, clips, seed=5)
    seen = []
    for epoch in (0, 7):
        data.set_epoch(epoch)
        got = hashes(data)
        draws = [Draw(epoch * 14 + numbers[clip.video], i) for i, clip in enumerate(clips)]
        assert got == hashes(maker.item(samples[draw]) for draw in draws)
        seen.append(got)
    assert not seen[0] & seen[1]


@pytest.mark.parametrize(
    ("world", "workers"), [(2, 0), (2, 2), pytest.param(3, 2, marks=pytest.mark.slow)]
)
def test_ranks_together_see_every_sample_once(shards: Path, world: int, workers: int) -> None:
    """The same draws as one reader alone, epoch by epoch, in another order each time."""
    alone = FlowClips.from_shards(shards, length=4, size=16, rgb=True, buffer=4)
    parts = [
        FlowClips.from_shards(shards, length=4, size=16, rgb=True, buffer=4, rank=rank, world=world)
        for rank in range(world)
    ]
    loaders = [
        DataLoader(part, batch_size=None, num_workers=workers, persistent_workers=workers > 0)
        for part in parts
    ]
    orders = []
    for epoch in range(2):
        for data in (alone, *parts):
            data.set_epoch(epoch)
        seen = [[hash_of(item) for item in loader] for loader in loaders]
        assert all(seen)
        assert Counter(h for rank in seen for h in rank) == hashes(alone)
        assert max(Counter(h for rank in seen for h in rank).values()) == 1
        orders.append([item["video"] for item in alone])
    assert orders[0] != orders[1]


READ_AS_A_RANK = """
import json, sys
import torch
from torch import distributed
from torch.utils.data import DataLoader
from streams import FlowClips

distributed.init_process_group("gloo")
data = FlowClips.from_shards(sys.argv[1], length=4, size=16)
seen = [[v, f.double().sum().item()]
        for b in DataLoader(data, batch_size=2, num_workers=2)
        for v, f in zip(b["video"], b["flow"])]
every = [None] * distributed.get_world_size()
distributed.all_gather_object(every, seen)
if distributed.get_rank() == 0:
    print(json.dumps(every))
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_of_torchrun_see_every_sample_once(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "read.py").write_text(READ_AS_A_RANK)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", str(tmp_path / "read.py"), str(shards)),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = json.loads(done.stdout.splitlines()[-1])
    assert len(ranks) == 2
    assert all(ranks)
    alone = FlowClips.from_shards(shards, length=4, size=16)
    expected = Counter((i["video"], i["flow"].double().sum().item()) for i in alone)
    assert Counter((video, total) for rank in ranks for video, total in rank) == expected


def test_clips_choose_videos_and_label_them(shards: Path) -> None:
    clips = [Clip("b/three", 9, ""), Clip("a/two", 4, "")]
    items = list(FlowClips.from_shards(shards, clips, length=4, size=16))
    assert Counter(i["label"] for i in items) == {9: 1, 4: 2}
    unlabelled = list(FlowClips.from_shards(shards, ["b/three"], length=4, size=16))
    assert [item["label"] for item in unlabelled] == [-1]


def test_a_shard_that_is_not_whole_is_no_silent_loss(shards: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(shards, tmp_path / "copy")
    first = next(iter(sorted(copy.glob("*.tar"))))
    whole = first.read_bytes()
    with_end = len(whole.rstrip(b"\0")) // 512 * 512 + 512  # the last member's last block
    for length in (1000, with_end - 2048):
        first.write_bytes(whole[:length])
        with pytest.raises(StoreError, match=r"shard-000000\.tar"):
            list(FlowClips.from_shards(copy, length=4, size=16))
    with tarfile.open(shards / first.name) as tar:
        flow = next(info for info in tar if info.name.endswith(".forward"))
    middle, end = flow.offset_data + 4 + 8 * 16, flow.offset_data + flow.size
    first.write_bytes(whole[:middle] + bytes(end - middle) + whole[end:])
    with pytest.raises(StoreError, match="does not match its checksum"):
        list(FlowClips.from_shards(copy, length=4, size=16))
    first.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        list(FlowClips.from_shards(copy, length=4, size=16))


def test_shards_come_through_a_pipe_and_through_a_cache(shards: Path, tmp_path: Path) -> None:
    expected = hashes(FlowClips.from_shards(shards, length=4, size=16, rgb=True))
    piped = FlowClips.from_shards(f"pipe:cat {shards}", length=4, size=16, rgb=True)
    assert hashes(piped) == expected
    memory = fsspec.filesystem("memory")
    memory.put(str(shards), "/bucket/clips", recursive=True)
    options: dict[str, Any] = {"length": 4, "size": 16, "rgb": True, "cache": tmp_path / "cache"}
    cached = FlowClips.from_shards("memory://bucket/clips", **options)
    assert hashes(cached) == expected
    names = sorted(path.name for path in shards.glob("*.tar"))
    assert [p.name for p in sorted((tmp_path / "cache").glob("shard*"))] == names
    memory.rm("/bucket/clips/shard-000000.tar")
    assert hashes(cached) == expected  # from the cache
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(StoreError, match="does not exist"):
        list(cached)
    memory.rm("/bucket", recursive=True)


def test_a_store_elsewhere_gives_the_same_items(store: Store, tmp_path: Path) -> None:
    merge([store.folder], tmp_path / "sealed", new=True)
    far = open_remote(f"file://{tmp_path}/sealed", tmp_path / "cache")
    options: dict[str, Any] = {"length": 5, "size": 16, "rgb": True, "train": False}
    loader = DataLoader(FlowClips(far, **options), batch_size=None, num_workers=2)
    assert hashes(loader) == hashes(FlowClips(store.folder, **options))


def test_mistakes(shards: Path, store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--clip-pairs 10"):
        FlowClips.from_shards(shards, length=10)
    with pytest.raises(UserError, match="--clip-pairs 9"):
        FlowClips.from_shards(shards, length=5, stride=2)
    with pytest.raises(UserError, match="warped"):
        FlowClips.from_shards(shards, length=4, field="warped")
    with pytest.raises(UserError, match="too few for 64 ranks"):
        FlowClips.from_shards(shards, length=4, rank=0, world=64)
    with pytest.raises(UserError, match="rank 2 is not one of 0 to 1"):
        FlowClips.from_shards(shards, length=4, rank=2, world=2)
    with pytest.raises(UserError, match="give both or none"):
        FlowClips.from_shards(shards, length=4, rank=2)
    with pytest.raises(UserError, match="cannot be read"):
        FlowClips.from_shards(tmp_path, length=4)
    ClipShards("litdata", frames=False).export(store, ["a/two"], tmp_path / "lit")
    with pytest.raises(UserError, match="litdata"):
        FlowClips.from_shards(tmp_path / "lit", length=4)
    ClipShards(frames=False).export(store, ["a/two"], tmp_path / "flow")
    with pytest.raises(UserError, match="without frames"):
        FlowClips.from_shards(tmp_path / "flow", length=4, rgb=True)
    assert "2 clips" not in repr(FlowClips.from_shards(tmp_path / "flow", length=4))
    assert isinstance(FlowClips.from_shards(tmp_path / "flow", length=4), ShardClips)
    assert torch.is_tensor(next(iter(FlowClips.from_shards(tmp_path / "flow", length=4)))["flow"])
