"""The feature store keeps what it is given, whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import StoreError, UserError
from storage.features import (
    FeatureConfig,
    FeatureStore,
    Statistics,
    export_hdf5,
    export_npy,
    holds_features,
    import_features,
    open_features,
    statistics_of,
)
from storage.features.convert import MOMENTS
from storage.features.statistics import gathered
from storage.store import shard, verify, writer
from storage.store.store import open_store

FORK = multiprocessing.get_context("fork")
CONFIG = FeatureConfig((6,), "pool", {"name": "resnet18", "weights": "abc"}, {"every": 5})
VIDEOS = {f"v{number:02d}": 1 + 37 * (number % 6) for number in range(24)}


def rows_of(video: str, steps: int, shape: tuple[int, ...] = (6,)) -> np.ndarray:
    rng = np.random.default_rng(crc32(video.encode()))
    return rng.normal(size=(steps, *shape)).astype(np.float16)


def add(store: FeatureStore, video: str, steps: int) -> None:
    with store.write(video) as w:
        for row in rows_of(video, steps, store.meta.shape):
            w.add(row[None])
        w.finish(np.arange(steps) * 5, fps=25.0, source={"name": f"{video}.avi"})


def check(store: FeatureStore, video: str, steps: int) -> None:
    np.testing.assert_array_equal(store.read(video), rows_of(video, steps, store.meta.shape))
    np.testing.assert_array_equal(store.moments(video), np.arange(steps) * 5)


def filled(path: Path, videos: dict[str, int], config: FeatureConfig = CONFIG) -> FeatureStore:
    store = open_features(path, "w", config)
    for video, steps in videos.items():
        add(store, video, steps)
    return store


def write_both(store: FeatureStore, first: np.ndarray, second: np.ndarray) -> None:
    with store.write("v") as w:
        w.add(first)
        w.add(second)
        w.finish(range(len(first) + len(second) + 1))


@pytest.mark.parametrize("shape", [(6,), (4, 3, 2)])
def test_what_is_written_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    store = filled(tmp_path / "f", {"a/b": 600, "one": 1}, FeatureConfig(shape, "conv5"))
    again = pickle.loads(pickle.dumps(open_features(tmp_path / "f")))
    assert again.videos() == ["a/b", "one"]
    check(again, "a/b", 600)
    check(again, "one", 1)
    np.testing.assert_array_equal(again.read("a/b", [599, 0, 0]), store.read("a/b")[[599, 0, 0]])
    assert again.read("one").dtype == np.float16
    assert again.video("a/b").fps == 25.0


@given(st.data())
def test_any_choice_of_steps_is_that_of_the_array(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "choice"
    if not folder.exists():
        filled(folder, {"v": 300}).close()
    steps = data.draw(st.lists(st.integers(0, 299), max_size=20))
    got = open_features(folder).read("v", steps)
    np.testing.assert_array_equal(got, rows_of("v", 300)[steps])


def test_features_of_another_network_are_refused(tmp_path: Path) -> None:
    filled(tmp_path / "f", {"a": 2}).close()
    other = FeatureConfig((6,), "pool", {"name": "resnet18", "weights": "def"}, {"every": 5})
    with pytest.raises(StoreError, match=r"network.weights: the store has 'abc', asked for 'def'"):
        open_features(tmp_path / "f", "a", other)
    with pytest.raises(StoreError, match="at: the store has 'pool', asked for 'conv5'"):
        open_features(tmp_path / "f", "a", FeatureConfig((6,), "conv5", CONFIG.network))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.full((1, 6), np.nan), "not finite"),
        (np.full((1, 6), np.inf), "not finite"),
        (np.full((1, 6), 1e6), "--dtype float32"),
        (np.zeros((1, 5)), r"\(T, 6\)"),
        (np.zeros((1, 6), np.int64), "int64"),
    ],
)
def test_bad_rows_are_refused_and_leave_nothing(
    tmp_path: Path, rows: np.ndarray, words: str
) -> None:
    store = open_features(tmp_path / "f", "w", CONFIG)
    with pytest.raises(UserError, match=words):
        write_both(store, rows_of("v", 3), rows)
    assert store.videos() == []
    add(store, "v", 3)
    check(store, "v", 3)
    assert not verify(tmp_path / "f", kind=FeatureStore).damaged


def test_a_video_of_no_step_or_of_other_moments_is_refused(tmp_path: Path) -> None:
    store = open_features(tmp_path / "f", "w", CONFIG)
    with pytest.raises(UserError, match="0 steps"), store.write("v") as w:
        w.finish([])
    with pytest.raises(UserError, match="2 steps and moments"):
        write_both(store, rows_of("v", 1), rows_of("v", 1))
    assert store.videos() == []


def test_the_two_kinds_of_stores_are_told_apart(tmp_path: Path) -> None:
    filled(tmp_path / "f", {"a": 2}).close()
    assert holds_features(tmp_path / "f")
    assert not holds_features(tmp_path)
    with pytest.raises(StoreError, match=r"not a store: it holds no store.json"):
        open_store(tmp_path / "f")
    with pytest.raises(StoreError, match=r"not a feature store.*twostream features"):
        open_features(tmp_path)


def write_missing(folder: Path) -> None:
    store = open_features(folder, "a", CONFIG)
    for video, steps in VIDEOS.items():
        if video not in store:
            with suppress(StoreError):
                add(store, video, steps)
    store.close()


def test_killed_writers_lose_only_what_they_had_in_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "FLUSH", 300)
    monkeypatch.setattr(shard, "FIRST_MAP", 1 << 18)
    chance, folder, killed = random.Random(1), tmp_path / "f", 0
    began = time.monotonic()
    whole = FORK.Process(target=write_missing, args=(tmp_path / "whole",))
    whole.start()
    whole.join(60)
    duration = time.monotonic() - began
    for _ in range(8):
        child = FORK.Process(target=write_missing, args=(folder,))
        child.start()
        time.sleep(chance.uniform(0.05, 0.5) * duration)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join(60)
        killed += child.exitcode == -signal.SIGKILL
        if holds_features(folder):
            store = open_features(folder)
            for video in store.videos():
                check(store, video, VIDEOS[video])
            store.close()
    assert killed
    last = FORK.Process(target=write_missing, args=(folder,))
    last.start()
    last.join(60)
    assert last.exitcode == 0
    store = open_features(folder)
    assert store.videos() == sorted(VIDEOS)
    for video, steps in VIDEOS.items():
        check(store, video, steps)
    report = verify(folder, kind=FeatureStore)
    assert not report.damaged
    assert report.counts() == {"steps": sum(VIDEOS.values())}
    assert report.to_json()["unfinished"] == 0


def test_damage_is_found_named_and_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    filled(folder, {"a": 40, "b": 40}).close()
    data = folder / "shards" / "000000" / "data.mdb"
    content = data.read_bytes()
    row = rows_of("b", 40)[7].tobytes()
    at = content.index(row)
    data.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with (
        open_features(folder) as reader,
        pytest.raises(StoreError, match="so that features makes it again"),
    ):
        reader.read("b")
    report = verify(folder, repair=True, kind=FeatureStore)
    assert report.dropped == ["b"]
    store = open_features(folder)
    assert store.videos() == ["a"]
    check(store, "a", 40)


def test_a_truncated_file_is_salvaged(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    filled(folder, {f"v{n}": 200 for n in range(30)}).close()
    data = folder / "shards" / "000000" / "data.mdb"
    os.truncate(data, data.stat().st_size - 4096)
    report = verify(folder, repair=True, kind=FeatureStore)
    store = open_features(folder)
    assert report.salvaged == store.videos()
    assert len(report.salvaged) >= 20
    for video in store.videos():
        check(store, video, 200)


def test_statistics_are_those_of_numpy(tmp_path: Path) -> None:
    store = filled(tmp_path / "f", {"a": 3, "b": 50, "c": 1}, FeatureConfig((4, 3, 2), "conv5"))
    found = statistics_of(store, ["a", "b"], "lists split 1")
    rows = np.concatenate([store.read(v) for v in ("a", "b")]).astype(np.float64)
    np.testing.assert_allclose(found.mean, rows.mean((0, 2, 3)), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.deviation, rows.std((0, 2, 3)), rtol=1e-6)
    found.save(store.statistics)
    again = Statistics.load(store.statistics)
    assert (again.videos, again.part) == (2, "lists split 1")
    np.testing.assert_array_equal(again.mean, found.mean)


def test_a_number_that_never_changes_is_not_blown_up() -> None:
    found = gathered([np.full((5, 2), [3.0, 0.1])], 2, 1)
    np.testing.assert_array_equal(found.deviation, [1, 1])


def test_features_go_out_and_come_back_the_same(tmp_path: Path) -> None:
    store = filled(tmp_path / "f", {"x/a": 5, "x/b": 1, "c": 300})
    assert len(export_npy(store, tmp_path / "npy")) == 3
    assert export_npy(store, tmp_path / "npy") == []
    export_hdf5(store, tmp_path / "f.h5")
    import_features(tmp_path / "npy", tmp_path / "one", name="resnet18")
    added, _ = import_features(tmp_path / "f.h5", tmp_path / "two")
    assert import_features(tmp_path / "f.h5", tmp_path / "two") == ([], added)
    assert open_features(tmp_path / "two").meta == store.meta
    for folder in ("one", "two"):
        again = open_features(tmp_path / folder)
        assert again.videos() == store.videos()
        for video in store.videos():
            np.testing.assert_array_equal(again.read(video), store.read(video))
            np.testing.assert_array_equal(again.moments(video), store.moments(video))


def test_foreign_files_that_are_no_features_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no features"):
        import_features(tmp_path / "empty", tmp_path / "o", name="n")
    np.save(tmp_path / "empty" / "v.npy", np.zeros((2, 3, 4), np.float32))
    with pytest.raises(UserError, match="are no features"):
        import_features(tmp_path / "empty", tmp_path / "o", name="n")
    np.save(tmp_path / "empty" / "v.npy", np.zeros(7, np.float32))
    with pytest.raises(UserError, match="--name NETWORK"):
        import_features(tmp_path / "empty", tmp_path / "o")
    import_features(tmp_path / "empty", tmp_path / "o", name="n")
    assert open_features(tmp_path / "o").read("v").shape == (1, 7)
    np.save(tmp_path / "empty" / ("w" + MOMENTS), np.arange(3))
    assert open_features(tmp_path / "o").videos() == ["v"]
    (tmp_path / "bad.h5").write_bytes(b"nothing")
    with pytest.raises(UserError, match="HDF5"):
        import_features(tmp_path / "bad.h5", tmp_path / "p", name="n")


def test_an_id_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    store = filled(tmp_path / "f", {"../up": 1})
    with pytest.raises(UserError, match="outside"):
        export_npy(store, tmp_path / "npy")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "f", {"a": 1}).close()
    path = tmp_path / "f" / "features.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 3}))
    with pytest.raises(StoreError, match="schema version 3"):
        open_features(tmp_path / "f")
