"""What goes into a store comes out of it, from any process, in any order."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import Store, StoreConfig, StoreError, UserError, open_store

RAW = StoreConfig(codec="raw", frame_codec="raw")
H, W = 6, 10


def codes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 2, H, W), dtype=np.uint8)


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, H, W, 3), dtype=np.uint8)


def add(store: Store, video: str, pairs: int, seed: int = 0) -> None:
    with store.write(video) as w:
        for frame in frames(pairs + 1, seed):
            w.frame(frame)
        w.flow(codes(pairs, seed))
        w.finish(fps=25.0, source={"name": f"{video}.avi"}, engine="test 1")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "s", "w", RAW)


def test_a_video_comes_back_as_it_went_in(store: Store) -> None:
    add(store, "a/b.c", 21)
    meta = store.video("a/b.c")
    assert (meta.frames, meta.pairs, meta.height, meta.width) == (22, 21, H, W)
    assert meta.source == {"name": "a/b.c.avi"}
    assert store.videos() == ["a/b.c"]
    assert "a/b.c" in store
    assert "a" not in store
    assert len(store) == 1
    np.testing.assert_array_equal(store.read_flow("a/b.c", 3, 10), codes(21)[3:13])
    np.testing.assert_array_equal(
        store.read_frames("a/b.c", [20, 3, 4, 3]), frames(22)[[20, 3, 4, 3]]
    )


def test_nothing_is_there_when_the_block_fails(store: Store) -> None:
    def broken() -> None:
        with store.write("a") as w:
            w.flow(codes(20))
            w.finish(fps=1)
            raise RuntimeError("decoder")

    with pytest.raises(RuntimeError, match="decoder"):
        broken()
    assert store.videos() == []
    add(store, "a", 3)
    assert len(store) == 1


def read_in_child(store: Store, queue: multiprocessing.Queue) -> None:
    queue.put(store.read_flow("a", 0, 5).tobytes())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_open_store_works_in_a_child(store: Store, method: str) -> None:
    add(store, "a", 9)
    store.read_flow("a", 0, 1)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=read_in_child, args=(store, queue))
    child.start()
    assert queue.get(timeout=60) == codes(9)[:5].tobytes()
    child.join()
    assert child.exitcode == 0
    np.testing.assert_array_equal(store.read_flow("a", 4, 5), codes(9)[4:])


def test_a_store_can_be_pickled(store: Store) -> None:
    add(store, "a", 9)
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy.read_flow("a", 0, 9), codes(9))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(pairs=st.integers(0, 40), data=st.data())
def test_any_stretch_can_be_read(store: Store, pairs: int, data: st.DataObject) -> None:
    video = str(len(store))
    add(store, video, pairs, seed=pairs)
    start = data.draw(st.integers(0, pairs))
    length = data.draw(st.integers(0, pairs - start))
    got = store.read_flow(video, start, length)
    np.testing.assert_array_equal(got, codes(pairs, pairs)[start : start + length])
    for wrong in [(start, pairs - start + 1), (-1, 1), (0, -1)]:
        with pytest.raises(UserError, match="asked for"):
            store.read_flow(video, *wrong)


def test_modes(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with pytest.raises(StoreError, match="not a store"):
        open_store(folder)
    with pytest.raises(StoreError, match="not a store"):
        open_store(folder, "a")
    open_store(folder, "w", RAW).close()
    with pytest.raises(StoreError, match="already"):
        open_store(folder, "w", RAW)
    with pytest.raises(StoreError, match=r"step: the store has 1, asked for 2"):
        open_store(folder, "a", StoreConfig(codec="raw", frame_codec="raw", step=2))
    with pytest.raises(UserError, match="opened to read"), open_store(folder).write("a"):
        pass
