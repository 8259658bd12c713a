"""What goes into a store comes out of it, from any process, in any order."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_material import RAW, H, W, add, check, codes, filled, frames

from storage import Quantizer, Store, StoreConfig, StoreError, UserError, open_store

LENIENT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "s", "w", RAW)


def test_a_video_comes_back_as_it_went_in(store: Store) -> None:
    add(store, "a/b.c", 41)
    meta = store.video("a/b.c")
    assert (meta.frames, meta.pairs, meta.height, meta.width) == (42, 41, H, W)
    assert (meta.source, meta.engine, meta.fps) == ({"name": "a/b.c.avi"}, "test 1", 25.0)
    assert meta.size > 41 * 2 * H * W
    assert store.videos() == ["a/b.c"]
    assert "a/b.c" in store
    assert "a" not in store
    assert 3 not in store
    assert len(store) == 1
    check(store, "a/b.c")
    order = [20, 3, 4, 3, 41]
    np.testing.assert_array_equal(store.read_frames("a/b.c", order), frames("a/b.c", 42)[order])
    assert list(store.metas()) == [meta]


def test_nothing_is_there_when_the_block_fails(store: Store) -> None:
    def broken() -> None:
        with store.write("a") as w:
            w.flow(codes("a", 20))
            w.finish(fps=1)
            raise RuntimeError("decoder")

    with pytest.raises(RuntimeError, match="decoder"):
        broken()
    assert store.videos() == []
    assert len(store) == 0
    add(store, "a", 3)
    assert len(store) == 1


def read_in_child(store: Store, queue: multiprocessing.Queue) -> None:
    queue.put(store.read_flow("a", 0, 5).tobytes())
    if store.writable:
        add(store, "from the child", 4)
    store.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("mode", ["r", "a"])
def test_an_open_store_works_in_a_child(tmp_path: Path, method: str, mode: str) -> None:
    filled(tmp_path / "s", {"a": 9}).close()
    store = open_store(tmp_path / "s", mode)
    store.read_flow("a", 0, 1)
    if mode == "a":
        add(store, "from the parent", 4)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=read_in_child, args=(store, queue))
    child.start()
    assert queue.get(timeout=60) == codes("a", 9)[:5].tobytes()
    child.join(60)
    assert child.exitcode == 0
    check(store, "a")
    if mode == "a":
        add(store, "afterwards", 3)
        assert store.videos() == ["a", "afterwards", "from the child", "from the parent"]
        for video in store.videos():
            check(store, video)
        assert len(store.shards()) == 2  # the parent holds the first one


def test_a_store_can_be_pickled(store: Store) -> None:
    add(store, "a", 9)
    copy = pickle.loads(pickle.dumps(store))
    check(copy, "a")
    add(copy, "b", 2)
    assert store.videos() == ["a", "b"]


def test_two_stores_of_one_folder_in_one_process(tmp_path: Path) -> None:
    writer = open_store(tmp_path / "s", "w", RAW)
    reader = open_store(tmp_path / "s")
    assert reader.videos() == []
    add(writer, "a", 9)
    check(reader, "a")
    second = open_store(tmp_path / "s", "a")
    with writer.write("b") as one, second.write("c") as two:
        for w, video in ((one, "b"), (two, "c")):
            w.frame(frames(video, 1)[0])
            w.finish(fps=1)
    writer.close()
    add(second, "d", 3)
    assert reader.videos() == ["a", "b", "c", "d"]
    check(writer, "d")  # opens again when it is used


def test_threads_may_read_while_one_writes(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", {f"v{i}": 20 for i in range(4)})
    failures: list[BaseException] = []

    def read(number: int) -> None:
        try:
            for _ in range(30):
                check(store, f"v{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for number in range(10):
        add(store, f"new{number}", 12)
    for thread in threads:
        thread.join()
    assert not failures
    assert len(store) == 14


def test_forks_disturb_no_transaction(tmp_path: Path) -> None:
    """A reader's snapshot stays its own while other threads fork and a child closes its copies."""
    store = filled(tmp_path / "s", {"a": 400})
    context = multiprocessing.get_context("fork")
    failures: list[BaseException] = []
    stop = threading.Event()

    def work(mode: str) -> None:
        mine = open_store(tmp_path / "s", mode)
        number = 0
        try:
            while not stop.is_set():
                if mode == "r":
                    check(mine, "a")
                else:
                    number += 1
                    add(mine, f"new{number}", 30)
                    mine.delete(f"new{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(mode,)) for mode in "rra"]
    for thread in threads:
        thread.start()
    for _ in range(15):
        child = context.Process(target=check, args=(store, "a"))
        child.start()
        child.join(60)
        assert child.exitcode == 0
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures


def test_metas_leave_no_transaction_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.store.sharded.BATCH", 5)
    for count in (0, 4, 5, 6, 13):
        folder = tmp_path / str(count)
        filled(folder, {str(number): 0 for number in range(count)}).close()
        store = open_store(folder, "a")
        seen = []
        for meta in store.metas():
            seen.append(meta.video)
            store.delete(meta.video)  # would wait for ever for a transaction of its own thread
        assert sorted(seen) == sorted(map(str, range(count)))
        assert store.videos() == []


def test_threads_may_write_at_once(tmp_path: Path) -> None:
    store = open_store(tmp_path / "s", "w", RAW)
    names = [[f"{thread}-{number}" for number in range(5)] for thread in range(4)]
    threads = [
        threading.Thread(target=lambda mine=mine: [add(store, v, 20) for v in mine])
        for mine in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.videos() == sorted(v for mine in names for v in mine)
    assert store.shards() == ["000000"]
    for video in store.videos():
        check(store, video)


@LENIENT
@given(pairs=st.integers(0, 50), data=st.data())
def test_any_stretch_can_be_read(store: Store, pairs: int, data: st.DataObject) -> None:
    video = f"{pairs} pairs"
    if video not in store:
        add(store, video, pairs)
    start = data.draw(st.integers(0, pairs))
    length = data.draw(st.integers(0, pairs - start))
    got = store.read_flow(video, start, length)
    np.testing.assert_array_equal(got, codes(video, pairs)[start : start + length])
    order = data.draw(st.lists(st.integers(0, pairs), max_size=20))
    np.testing.assert_array_equal(store.read_frames(video, order), frames(video, pairs + 1)[order])
    for wrong in [(start, pairs - start + 1), (-1, 1), (0, -1)]:
        with pytest.raises(UserError, match="asked for"):
            store.read_flow(video, *wrong)
    with pytest.raises(UserError, match="asked for"):
        store.read_frames(video, [pairs + 1])


ODD_IDS = [
    "a.b.c", "a b", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "日本語/動画",
    "e\u0301", "\u00e9", "x" * 500, "x" * 501, "x" * 600, "y" * 600, "x" * 499 + "é", "é" * 300,
    "\udcff.bad", "new\nline", "-rf", "%s", "CON", "\uffff", "a" * 511,
]  # fmt: skip


def test_odd_ids_are_ids_like_others(store: Store, tmp_path: Path) -> None:
    for number, video in enumerate(ODD_IDS):
        add(store, video, number % 5)
    assert store.videos() == sorted(ODD_IDS)
    assert len(store) == len(ODD_IDS)
    for number, video in enumerate(ODD_IDS):
        assert store.video(video).pairs == number % 5
        check(store, video)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"]
    kept = {"index.log", "publish", "shards", "store.json"}
    assert {p.name for p in (tmp_path / "s").iterdir()} == kept
    for video in ODD_IDS:
        store.delete(video)
    assert store.videos() == []


@settings(LENIENT, max_examples=40)
@given(video=st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_any_text_is_an_id(store: Store, video: str) -> None:
    if video not in store:
        add(store, video, 1)
    check(store, video)
    assert video in store.videos()


@pytest.mark.parametrize("video", ["", "a\0b", None, 3, b"a"])
def test_what_is_no_text_is_refused(store: Store, video: object) -> None:
    with pytest.raises(UserError, match="id"), store.write(video):  # type: ignore[arg-type]
        pass


def test_modes(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with pytest.raises(StoreError, match="not a store"):
        open_store(folder)
    with pytest.raises(StoreError, match="not a store"):
        open_store(folder, "a")
    with pytest.raises(UserError, match="config"):
        open_store(folder, "w")
    with pytest.raises(UserError, match="mode 'x'"):
        open_store(folder, "x")
    open_store(folder, "w", RAW).close()
    with pytest.raises(StoreError, match="already"):
        open_store(folder, "w", RAW)
    assert open_store(folder, "a", RAW).meta == RAW
    with pytest.raises(UserError, match="opened to read"), open_store(folder).write("a"):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        open_store(tmp_path / "file", "w", RAW)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match=r"thesis\.tex"):
        open_store(tmp_path / "full", "w", RAW)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (StoreConfig(codec="raw", frame_codec="raw", step=2), "step: the store has 1, asked for 2"),
        (StoreConfig(codec="raw", frame_codec="none"), "frame_codec: the store has 'raw'"),
        (
            StoreConfig(Quantizer("round"), "raw", "raw"),
            "quantizer.rule: the store has 'companded'",
        ),
        (
            StoreConfig(Quantizer(bound=15.0), "raw", "raw"),
            "bound: the store has 20.0, asked for 15",
        ),
        (StoreConfig(codec="raw", frame_codec="raw", parameters={"tau": 0.1}), "parameters.tau"),
        (StoreConfig(codec="raw", frame_codec="raw", fields=("backward",)), r"fields.*backward"),
    ],
)
def test_other_expectations_are_named(tmp_path: Path, other: StoreConfig, words: str) -> None:
    open_store(tmp_path / "s", "w", RAW).close()
    for mode in ("a", "r"):
        with pytest.raises(StoreError, match=words):
            open_store(tmp_path / "s", mode, other)


def test_a_config_survives_json(tmp_path: Path) -> None:
    config = StoreConfig(
        Quantizer("round", 15.0), "jpeg:80", "none", "340x256", 2, 12.5, ("backward", "forward"),
        "tvl1", {"lambda": 0.15, "nested": {"scales": [1, 2]}}, "abc",
    )  # fmt: skip
    open_store(tmp_path / "s", "w", config).close()
    assert open_store(tmp_path / "s", "a", config).meta == config


def test_mistakes_in_writing_are_named(store: Store) -> None:
    def write(work) -> None:
        with store.write("a") as w:
            work(w)

    cases = [
        (lambda w: None, "not finished"),
        (lambda w: w.flow(codes("a", 2), field="backward"), "holds forward flow"),
        (lambda w: w.flow(codes("a", 2)[0]), "uint8"),
        (lambda w: w.frame(codes("a", 2)[0]), "uint8"),
        (lambda w: w.flow(codes("a", 2).astype(float)), "uint8"),
        (lambda w: (w.frame(frames("a", 1)[0]), w.frame(frames("a", 1, (8, 8))[0])), "10x6.*8x8"),
        (lambda w: (w.flow(codes("a", 2)), w.finish(fps=1)), "2 pairs.*only 0 frames"),
    ]
    for work, words in cases:
        with pytest.raises(UserError, match=words):
            write(work)
    assert store.videos() == []
    add(store, "a", 1)
    with pytest.raises(StoreError, match="already"):
        write(lambda w: None)
    with pytest.raises(StoreError, match="not in"):
        store.read_flow("b", 0, 1)
    with pytest.raises(UserError, match="holds forward flow"):
        store.read_flow("a", 0, 1, field="warped")


def test_fields_are_kept_apart(tmp_path: Path) -> None:
    config = StoreConfig(codec="raw", frame_codec="none", fields=("forward", "backward", "warped"))
    store = open_store(tmp_path / "s", "w", config)
    with store.write("a") as w:
        for field in config.fields:
            w.flow(codes(field, 20), field=field)
        w.finish(fps=1)
    for field in config.fields:
        np.testing.assert_array_equal(store.read_flow("a", 5, 9, field), codes(field, 20)[5:14])
    with pytest.raises(UserError, match="without frames"):
        store.read_frames("a", [0])

    def uneven() -> None:
        with store.write("b") as w:
            w.flow(codes("b", 2))
            w.finish(fps=1)

    with pytest.raises(UserError, match="different numbers"):
        uneven()


def test_a_deleted_video_can_be_stored_anew(store: Store) -> None:
    add(store, "a", 20)
    reader = open_store(store.folder)
    check(reader, "a")
    store.delete("a")
    assert "a" not in store
    with pytest.raises(StoreError, match="not in"):
        store.delete("a")
    with pytest.raises(StoreError, match="not in"):
        reader.read_flow("a", 0, 1)  # which still remembers where it was
    add(store, "a", 7)
    check(reader, "a")


def test_the_default_codec_keeps_flow_near(tmp_path: Path) -> None:
    store = open_store(tmp_path / "s", "w", StoreConfig(size="64x48"))
    y, x = np.mgrid[:48, :64] / 9.0
    flow = np.stack([np.stack([np.sin(x + t), np.cos(y - t)]) * 3 for t in np.arange(20) / 5])
    quantizer = store.meta.quantizer
    with store.write("a") as w:
        for shift in range(21):
            w.frame(np.full((48, 64, 3), [shift * 10, 50, 90], np.uint8))
        w.flow(quantizer.quantize(flow))
        w.finish(fps=25)
    off = quantizer.dequantize(store.read_flow("a", 0, 20)) - flow
    assert np.hypot(off[:, 0], off[:, 1]).mean(axis=(1, 2)).max() < 0.08 + 0.06
    seen = store.read_frames("a", [0, 20])
    assert np.abs(seen[1].mean(axis=(0, 1)) - [200, 50, 90]).max() < 3
