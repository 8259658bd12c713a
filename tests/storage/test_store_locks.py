"""Writers and readers that share no process numbers, copy files or are stopped: nothing is lost."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from store_material import RAW, add, check, codes, filled, frames

from storage.errors import DamageError, StoreError
from storage.store import locks, shard, writer
from storage.store.claim import unopened
from storage.store.keys import NUMBER, PENDING
from storage.store.store import Store, open_store
from storage.store.verification import verify

FORK = multiprocessing.get_context("fork")
ROOT = os.geteuid() == 0
HERE = Path(__file__).parent


def start(work: Callable[..., None], *arguments: object) -> BaseProcess:
    child = FORK.Process(target=work, args=arguments)
    child.start()
    return child


def end(child: BaseProcess) -> None:
    child.join(120)
    assert child.exitcode == 0


def first_of_its_namespace(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python program as process 1 of a process namespace, as in a container."""
    probe = subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("this needs namespaces, which are not allowed here")
    paths = os.pathsep.join([str(HERE.parents[1]), *sys.path])
    return subprocess.Popen(
        ["unshare", "-pf", "--mount-proc", sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


READER = """
import os, sys
from store_material import check
from storage.store.store import open_store
assert os.getpid() == 1
store = open_store(sys.argv[1])
part = store._shard("000000")
with part.reading():
    print("reads", flush=True)
    sys.stdin.readline()
for _ in range(40):
    for video in store.videos():
        if video.startswith("keep"):
            check(store, video)
print("whole", flush=True)
"""


def test_readers_in_containers_read_at_once(tmp_path: Path) -> None:
    """Each is process 1 of its own namespace, and all read while a writer adds and deletes."""
    folder = tmp_path / "s"
    store = filled(folder, {"keep a": 30, "keep b": 30})
    readers = [first_of_its_namespace(READER, folder) for _ in range(3)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reads\n"
        with unopened(folder / "shards" / "000000") as free:
            assert not free
        for reader in readers:
            assert reader.stdin is not None
            reader.stdin.write("\n")
            reader.stdin.flush()
        for number in range(25):
            add(store, f"new {number}", 20)
            store.delete(f"new {number}")
        for reader in readers:
            rest, _ = reader.communicate(timeout=120)
            assert (rest, reader.returncode) == ("whole\n", 0)
    finally:
        for reader in readers:
            reader.kill()
    store.close()
    assert not verify(folder).damaged


def test_a_healthy_shard_is_never_put_aside(tmp_path: Path) -> None:
    """Not by the advice of an error, and not while somebody reads it."""
    folder = tmp_path / "s"
    filled(folder, {"a": 5, "b": 40}).close()

    def read(ready: object, go: object) -> None:
        store = open_store(folder)
        check(store, "a")
        ready.set()  # type: ignore[attr-defined]
        go.wait(60)  # type: ignore[attr-defined]
        check(store, "b")

    ready, go = FORK.Event(), FORK.Event()
    reader = start(read, ready, go)
    assert ready.wait(60)
    report = verify(folder, repair=True)
    assert (report.damaged, report.videos) == (False, 2)
    assert os.listdir(folder / "shards") == ["000000"]
    data = folder / "shards/000000/data.mdb"
    pair, content = codes("a", 5)[2].tobytes(), data.read_bytes()
    with open(data, "r+b") as file:  # in place: the reader has it mapped
        for at in range(len(content)):
            if content.startswith(pair, at):
                file.seek(at)
                file.write(bytes([content[at] ^ 1]))
    before = data.read_bytes()
    with pytest.raises(StoreError, match="still being written or read"):
        verify(folder, repair=True)
    assert data.read_bytes() == before
    go.set()
    end(reader)
    assert verify(folder, repair=True).dropped == ["a"]


def test_a_copy_made_by_the_writing_process_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POSIX locks end when the process closes any descriptor of the file, as a copy does."""
    monkeypatch.setattr(writer, "FLUSH", 500)
    folder = tmp_path / "s"
    open_store(folder, "w", RAW).close()

    def write_long(ready: object, go: object) -> None:
        store = open_store(folder, "a")
        with store.write("long") as w:
            for number, frame in enumerate(frames("long", 101)):
                w.frame(frame)
                if number == 60:
                    shutil.copytree(folder, tmp_path / "copy")
                    ready.set()  # type: ignore[attr-defined]
                    assert go.wait(60)  # type: ignore[attr-defined]
            w.flow(codes("long", 100))
            w.finish(fps=25.0)

    ready, go = FORK.Event(), FORK.Event()
    first = start(write_long, ready, go)
    assert ready.wait(60)

    def write_short() -> None:
        add(open_store(folder, "a"), "short", 20)

    end(start(write_short))
    go.set()
    end(first)
    store = open_store(folder)
    assert store.videos() == ["long", "short"]
    for video in store.videos():
        check(store, video)
    assert len(store.shards()) == 2


def test_a_writer_whose_mark_is_gone_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "FLUSH", 500)
    store = filled(tmp_path / "s", {"b": 3})

    def write_without_mark(other: bytes | None) -> None:
        with store.write("a") as w:
            w.flow(codes("a", 50))
            for frame in frames("a", 51):
                w.frame(frame)
            part = store._shard("000000")
            assert w.number is not None
            key = PENDING + NUMBER.pack(w.number)

            def work(txn: shard.Transaction) -> None:
                txn.delete(key, db=part.info)
                if other is not None:
                    txn.put(key, other, db=part.info)

            part.write(work)
            w.finish(fps=25.0)

    for other in (None, b"", b"another owner"):
        with pytest.raises(StoreError, match=r"'a' was not stored.*took over"):
            write_without_mark(other)
        assert store.videos() == ["b"]
    add(store, "a", 50)
    check(store, "a")
    store.close()
    assert not verify(tmp_path / "s").damaged


@pytest.fixture
def public_place() -> Iterator[Path]:
    """A folder that other users can enter. Each pytest that starts shuts the others' folders."""
    if not ROOT:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_a_reader_without_rights_is_safe_beside_a_writer(public_place: Path) -> None:
    """Another user's reader, who may write nothing, while pages are used again and again."""
    folder = public_place / "s"
    store = filled(folder, {f"keep {n}": 40 for n in range(10)})
    for path in public_place.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)

    def as_nobody(stop: object) -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        reader = open_store(folder)
        while not stop.is_set():  # type: ignore[attr-defined]
            for video in reader.videos():
                if video.startswith("keep"):
                    check(reader, video)

    stop = FORK.Event()
    readers = [start(as_nobody, stop) for _ in range(2)]
    for number in range(60):
        add(store, f"new {number}", 60)
        store.delete(f"new {number}")
    stop.set()
    for reader in readers:
        end(reader)


def test_a_reader_that_cannot_lock_is_refused(public_place: Path) -> None:
    folder = public_place / "s"
    filled(folder, {"a": 5}).close()
    (folder / "shards/000000" / locks.NAME).unlink()
    for path in public_place.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)

    def as_nobody() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        with pytest.raises(StoreError, match=r"read safely beside a writer.*`claim`"):
            check(open_store(folder), "a")

    end(start(as_nobody))
    check(open_store(folder), "a")


def test_a_writer_waits_for_readers_of_an_older_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "s"
    store = filled(folder, {"a": 30})
    reader = open_store(folder, "r")
    part = reader._shard("000000")

    def look(ready: object, go: object) -> None:
        mine = open_store(folder)
        with mine._shard("000000").reading():
            ready.set()  # type: ignore[attr-defined]
            assert go.wait(60)  # type: ignore[attr-defined]

    ready, go = FORK.Event(), FORK.Event()
    other = start(look, ready, go)
    assert ready.wait(60)
    monkeypatch.setattr(locks, "PATIENCE", 0.2)
    add(store, "b", 3)  # the state that is read is the last one
    with pytest.raises(StoreError, match="reading one state of it"):
        add(store, "c", 3)
    go.set()
    end(other)
    add(store, "c", 3)
    assert store.videos() == ["a", "b", "c"]
    assert part is store._shard("000000")
    for video in store.videos():
        check(store, video)


def limited(kind: int, amount: int, folder: Path, words: str) -> None:
    store = open_store(folder)
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (amount, before[1]))
    try:
        with pytest.raises(StoreError, match=words) as raised:
            check(store, "a")
    finally:
        resource.setrlimit(kind, before)
    assert not isinstance(raised.value, DamageError)
    assert "--repair" not in str(raised.value)
    check(store, "a")


@pytest.mark.parametrize(
    ("kind", "words"), [("NOFILE", "too many open files"), ("AS", "no room is left")]
)
def test_what_is_no_damage_is_not_called_so(tmp_path: Path, kind: str, words: str) -> None:
    folder = tmp_path / "s"
    filled(folder, {"a": 5}).close()

    def work() -> None:
        if kind == "NOFILE":
            taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
            limited(resource.RLIMIT_NOFILE, max(taken) + 2, folder, words)
        else:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            monkey = pytest.MonkeyPatch()
            monkey.setattr(shard, "FIRST_MAP", 8 << 30)
            limited(resource.RLIMIT_AS, pages * resource.getpagesize() + (1 << 30), folder, words)
            monkey.undo()

    end(start(work))


def test_a_repair_works_a_second_time(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    videos = {"a": 5, "b": 40, "c": 90}
    filled(folder, videos).close()
    for _ in range(3):
        for name in open_store(folder).shards():
            data = folder / "shards" / name / "data.mdb"
            os.truncate(data, os.path.getsize(data) - 4096)
        verify(folder, repair=True)
        assert not verify(folder).damaged
        store = open_store(folder, "a")
        for video, pairs in videos.items():
            if video not in store:
                add(store, video, pairs)
            check(store, video)
        store.close()
    # a shard of a name that was broken before
    for name in open_store(folder).shards():
        (folder / "shards" / f".broken-{name}").mkdir(exist_ok=True)
        (folder / "shards" / f".broken-{name}" / "kept").touch()
        (folder / "shards" / name / "data.mdb").write_bytes(b"hello " * 5000)
    assert verify(folder, repair=True).damaged
    assert open_store(folder).videos() == []


def test_a_kill_within_a_repair_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is whole is copied, and visible, before the broken shard is put aside."""
    folder = tmp_path / "s"
    filled(folder, {"a": 5, "b": 40, "c": 90}).close()
    data = folder / "shards/000000/data.mdb"
    os.truncate(data, os.path.getsize(data) - 4096)
    rename = os.rename

    def dies(source: Path, target: Path) -> None:
        if Path(target).name.startswith(".broken"):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", dies)
    with pytest.raises(KeyboardInterrupt):
        verify(folder, repair=True)
    monkeypatch.undo()
    assert "000000" in os.listdir(folder / "shards")
    verify(folder, repair=True)
    report = verify(folder)
    assert not report.damaged
    assert report.videos >= 2
    store = open_store(folder)
    for video in store.videos():
        check(store, video)


def test_a_reader_that_is_killed_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storage.store.verification import apart

    with pytest.raises(StoreError, match=r"SIGKILL, out of memory\?.*nothing says"):
        apart(die_of, 9)
    assert apart(die_of, 11) is None


def die_of(signal_number: int) -> None:
    os.kill(os.getpid(), signal_number)


def test_a_machine_of_larger_pages_reads_a_healthy_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "s"
    filled(folder, {"a": 2}).close()
    assert (folder / "shards/000000/data.mdb").stat().st_size < 2 * 65536
    monkeypatch.setattr("mmap.PAGESIZE", 65536)
    check(open_store(folder), "a")


def test_processes_without_locks_of_open_files_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on systems other than Linux."""
    monkeypatch.setattr(locks, "OFD", False)
    folder = tmp_path / "s"
    open_store(folder, "w", RAW).close()

    def write(mine: str) -> None:
        locks._kept.clear()
        store: Store = open_store(folder, "a")
        for number in range(10):
            add(store, f"{mine}{number}", 20)
            check(store, f"{mine}{number}")
        store.close()

    for child in [start(write, mine) for mine in "abc"]:
        end(child)
    store = open_store(folder)
    assert len(store.videos()) == 30
    for video in store.videos():
        check(store, video)
    store.close()
    locks._kept.clear()
