"""The shards as packages read them that nobody here wrote: webdataset and LitData."""

from __future__ import annotations

import json
import struct
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from foreign_tools import codes, frames

from storage import Quantizer, Store, StoreConfig, open_store
from storage.convert.export_pictures import Pictures
from storage.convert.export_shards import Shards
from storage.shards import ClipShards

LABELS = {"c/d": 7}
PAIRS = 20


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    config = StoreConfig(Quantizer("round", 20), codec="within:0.08", frame_codec="jpeg:90")
    with open_store(tmp_path_factory.mktemp("clients") / "store", "w", config) as store:
        for seed, video in enumerate(("a.b", "c/d")):
            with store.write(video) as writer:
                writer.flow(codes(PAIRS, seed))
                for picture in frames(PAIRS + 1, seed):
                    writer.frame(picture)
                writer.finish(fps=25)
    return store


def items_of(member: bytes) -> list[bytes]:
    """By docs/convert.md alone."""
    (count,) = struct.unpack_from("<I", member)
    lengths = [struct.unpack_from("<II", member, 4 + 8 * i)[0] for i in range(count)]
    items, at = [], 4 + 8 * count
    for length in lengths:
        items.append(member[at : at + length])
        at += length
    return items


def check_clips(samples: list[dict[str, Any]], store: Store) -> None:
    """Every coded item of the store, once."""
    seen: dict[tuple[str, str], dict[int, bytes]] = {}
    for sample in samples:
        said = json.loads(sample["json"])
        for kind in ("forward", "frames"):
            place = seen.setdefault((said["video"], kind), {})
            for number, item in enumerate(items_of(bytes(sample[kind])), said["first"]):
                assert number not in place
                place[number] = item
    assert set(seen) == {(v, k) for v in store.videos() for k in ("forward", "frames")}
    for (video, kind), items in seen.items():
        count = PAIRS + (kind == "frames")
        stored = store.read_encoded(video, kind, 0, count)
        assert [items[i] for i in range(count)] == stored


def test_webdataset_reads_clips(store: Store, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="pip install .[shards]")
    ClipShards(pairs_each=5, shard_bytes=9000).export(store, store.videos(), tmp_path, LABELS)
    urls = sorted(map(str, tmp_path.glob("*.tar")))
    assert len(urls) > 1
    samples = tar_samples(webdataset, urls)
    check_clips(samples, store)
    assert len({sample["__key__"] for sample in samples}) == len(samples) == 8
    said = {json.loads(s["json"])["video"]: s.get("cls") for s in samples}
    assert said == {"a.b": None, "c/d": b"7"}


def test_webdataset_reads_and_decodes_whole_videos(store: Store, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="pip install .[shards]")
    Shards(1).export(store, store.videos(), tmp_path, Pictures(store.meta.quantizer, "png"), LABELS)
    samples = tar_samples(webdataset, sorted(map(str, tmp_path.glob("*.tar"))), "rgb8")
    assert [sample["__key__"] for sample in samples] == ["a%2Eb", "c/d"]
    assert [sample.get("cls") for sample in samples] == [None, 7]
    for sample in samples:
        flow = store.read_flow(sample["json"]["video"], 0, PAIRS)
        for pair in range(PAIRS):
            for side, axis in enumerate("xy"):
                picture = sample[f"flow_{axis}_{pair:05d}.png"]
                assert np.array_equal(picture[..., 0], flow[pair, side])


def tar_samples(webdataset: Any, urls: list[str], *decoders: str) -> list[dict[str, Any]]:
    """As its users write it. It leaves files to the garbage collector, of which Python warns."""
    data = webdataset.WebDataset(urls, shardshuffle=False)
    if decoders:
        data = data.decode(*decoders)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.simplefilter("ignore", pytest.PytestUnraisableExceptionWarning)
        return list(data)


def test_litdata_reads_clips_and_writes_the_same_bytes(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("litdata", reason="pip install .[litdata]")
    from litdata import StreamingDataset
    from litdata.streaming.writer import BinaryWriter

    out, own = tmp_path / "out", tmp_path / "own"
    ClipShards("litdata", 5, 9000).export(store, store.videos(), out, LABELS)
    assert len(list(out.glob("*.bin"))) > 1
    samples = list(StreamingDataset(str(out), cache_dir=str(tmp_path / "cache")))
    check_clips(samples, store)
    assert {sample["video"]: sample["label"] for sample in samples} == {"a.b": -1, "c/d": 7}
    index = json.loads((out / "index.json").read_text())
    writer = BinaryWriter(str(own), chunk_size=index["chunks"][0]["chunk_size"])
    for number in range(index["chunks"][0]["chunk_size"]):
        plain = {
            k: bytes(v) if isinstance(v, memoryview) else v for k, v in samples[number].items()
        }
        writer[number] = plain
    writer.done()
    assert (own / "chunk-0-0.bin").read_bytes() == (out / "chunk-0-0.bin").read_bytes()
    writer.merge(1)
    theirs = json.loads((own / "index.json").read_text())["config"]
    ours = index["config"]
    for name in ("data_format", "data_spec", "item_loader", "compression", "encryption"):
        assert ours[name] == theirs[name]


def test_a_decoded_item_is_the_flow_of_the_store(store: Store, tmp_path: Path) -> None:
    """Within a tar, by OpenCV and no package for shards."""
    import tarfile

    ClipShards(pairs_each=5).export(store, ["c/d"], tmp_path)
    with tarfile.open(tmp_path / "shard-000000.tar") as tar:
        files = {i.name: tar.extractfile(i).read() for i in tar}  # type: ignore[union-attr]
    for pair, item in enumerate(items_of(files["c/d/000010.forward"]), 10):
        flow = store.read_flow("c/d", pair, 1)[0]
        if item[:2] == b"\xff\xd8":
            grey = cv2.imdecode(np.frombuffer(item, np.uint8), cv2.IMREAD_GRAYSCALE)
            assert np.array_equal(grey.reshape(flow.shape), flow)
