"""What an older version wrote is read as it was: stores, score tables and trained runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from kept_values import (
    CLASSES,
    FIELDS,
    FRAMES,
    HEIGHT,
    KEPT,
    KEPT_GROUPS,
    KEPT_PROVENANCE,
    KEPT_STORES,
    STORED,
    TABLE_VIDEOS,
    WIDTH,
    filling,
    kept_codes,
    kept_features,
    kept_frames,
    kept_labels,
    kept_scores,
    unpack,
)

from scripts.cli import main
from storage import Quantizer, ScoreTable, StoreConfig, VideoMeta, open_store, read_scores
from storage.store import verify
from streams.scoring import Run, load_stream

torch.set_num_threads(1)

CONFIGS = {
    "lossless": StoreConfig(
        codec="lossless",
        frame_codec="lossless",
        fields=FIELDS,
        fingerprint="kept",
        parameters={"tau": 0.25},
        size="short-side 24",
        fps=12.5,
    ),
    "coded": StoreConfig(Quantizer("round", 15.0), fields=FIELDS),
    "files": StoreConfig(
        Quantizer("truncate", 20.0), codec="files", frame_codec="files", algorithm="unknown"
    ),
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack("stores", tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack("scores", tmp_path_factory.mktemp("scores"))


@pytest.mark.parametrize("name", KEPT_STORES)
def test_a_kept_store_says_how_it_was_made(stores: Path, name: str) -> None:
    videos = STORED[: KEPT_STORES[name]]
    with open_store(stores / name) as store:
        assert store.meta == CONFIGS[name]
        assert store.videos() == sorted(videos)
        for number, video in enumerate(videos):
            meta = store.video(video)
            assert meta == VideoMeta(
                video=video,
                frames=FRAMES,
                pairs=FRAMES - 1,
                height=HEIGHT,
                width=WIDTH,
                fps=12.5,
                source={"name": f"{number}.avi", "faults": 0},
                engine="cpu 1",
                quality={"clipped_share": number / 8},
                size=meta.size,
            )
            assert meta.size > 0
    report = verify(stores / name)
    assert not report.damaged
    assert report.videos == len(videos)


@pytest.mark.parametrize("name", ["lossless", "files"])
def test_every_value_of_a_kept_store_is_read(stores: Path, name: str) -> None:
    with open_store(stores / name) as store:
        for video in store.videos():
            for field in store.meta.fields:
                codes = store.read_flow(video, 0, FRAMES - 1, field)
                np.testing.assert_array_equal(codes, kept_codes(video, field))
            frames = store.read_frames(video, range(FRAMES))
            np.testing.assert_array_equal(frames, kept_frames(video))


def test_kept_jpegs_decode_as_they_did(stores: Path) -> None:
    with open_store(stores / "coded") as store, np.load(stores / "coded.npz") as before:
        table = store.meta.quantizer.table
        for number, video in enumerate(store.videos()):
            for field in FIELDS:
                codes = store.read_flow(video, 0, FRAMES - 1, field)
                np.testing.assert_array_equal(codes, before[f"{number}_{field}"])
                x, y = np.moveaxis(table[codes] - table[kept_codes(video, field)], 1, 0)
                assert np.hypot(x, y).mean((1, 2)).max() <= 0.08
            frames = store.read_frames(video, range(FRAMES))
            np.testing.assert_array_equal(frames, before[f"{number}_frames"])


def test_a_video_can_be_added_to_a_kept_store(stores: Path, tmp_path: Path) -> None:
    shutil.copytree(stores / "lossless", tmp_path / "store")
    with open_store(tmp_path / "store", "a", CONFIGS["lossless"]) as store:
        with store.write("new") as writer:
            for frame in kept_frames("new"):
                writer.frame(frame)
            for field in FIELDS:
                writer.flow(kept_codes("new", field), field)
            writer.finish(fps=12.5)
        for video in (*STORED, "new"):
            codes = store.read_flow(video, 0, FRAMES - 1, "warped")
            np.testing.assert_array_equal(codes, kept_codes(video, "warped"))
    assert not verify(tmp_path / "store").damaged


@pytest.mark.parametrize("ending", ["npz", "csv", "json"])
def test_every_value_of_a_kept_score_table_is_read(scores: Path, ending: str) -> None:
    table = read_scores(scores / f"table.{ending}")
    assert (table.videos, table.classes, table.groups) == (TABLE_VIDEOS, CLASSES, KEPT_GROUPS)
    assert (table.kind, table.stream, table.split, table.part) == (
        "logits",
        "temporal",
        2,
        "validation",
    )
    assert table.provenance == KEPT_PROVENANCE
    np.testing.assert_array_equal(table.labels, kept_labels())
    np.testing.assert_array_equal(table.scores, kept_scores())
    if ending == "csv":
        assert table.features is None
    else:
        assert table.features is not None
        np.testing.assert_array_equal(table.features, kept_features())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kept runs with their weights filled in."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(KEPT / "runs", folder, dirs_exist_ok=True)
    weights = unpack("weights", tmp_path_factory.mktemp("weights"))
    for run in (folder / "temporal", folder / "fusion"):
        state = json.loads((run / "best.json").read_text("utf-8"))
        state["model"] = {}
        for line in (weights / f"{run.name}.txt").read_text("utf-8").splitlines():
            name, dtype, sizes = line.split()
            shape = () if sizes == "-" else tuple(map(int, sizes.split("x")))
            values = torch.from_numpy(filling(name, shape))
            state["model"][name] = values.to(getattr(torch, dtype))
        (run / "checkpoints").mkdir()
        torch.save(state, run / "checkpoints" / "best.pt")
    return folder


def test_a_kept_run_opens(runs: Path) -> None:
    run = Run.open(runs / "temporal")
    assert (run.kind, run.classes, run.split, run.validation) == ("temporal", CLASSES, 1, 0.0)
    assert run.origin["store"] == "stores/lossless"
    net, _ = load_stream(run, torch.device("cpu"))
    state = {name.removeprefix("network."): value for name, value in net.state_dict().items()}
    assert state.keys() == run.best().tensors.keys()
    for name, values in state.items():
        shape = tuple(values.shape)
        expected = torch.from_numpy(filling(name, shape)).to(values.dtype)
        assert torch.equal(values, expected)


@pytest.mark.parametrize("name", ["temporal", "fusion"])
def test_a_kept_run_scores_as_it_did(
    stores: Path, scores: Path, runs: Path, tmp_path: Path, name: str
) -> None:
    before, out = ScoreTable.load(scores / f"{name}.npz"), tmp_path / "scores.npz"
    where = ["--store", str(stores / "lossless"), "--labels", str(stores / "lists")]
    words = ["--views", "2x2", "--workers", "0", "--quiet", "--out", str(out)]
    assert main(["score", str(runs / name), *where, *words]) == 0
    table = ScoreTable.load(out)
    assert table.videos == before.videos
    assert table.classes == before.classes
    np.testing.assert_array_equal(table.labels, before.labels)
    np.testing.assert_allclose(table.scores, before.scores, rtol=1e-4, atol=1e-5)
    assert table.features is not None
    assert before.features is not None
    np.testing.assert_allclose(table.features, before.features, rtol=1e-4, atol=1e-5)
    # Newer tables say more; what older ones said is still said.
    own = {"seconds_per_video", "device", "run", "store", "fusion"}
    for key in before.provenance.keys() - own:
        assert table.provenance[key] == before.provenance[key], key
    fusion = before.provenance.get("fusion", {})
    assert fusion.items() <= table.provenance.get("fusion", {}).items()
