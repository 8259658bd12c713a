"""Machines read and write one store at once, and writers are killed fifty times.

A machine is a process in PID and mount namespaces of its own: it sees the others by the files of
the store, and by nothing else.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from children import end, start
from store_material import RAW, add, check, filled

from storage.store import sealing, shard, writer
from storage.store.claim import unopened
from storage.store.store import open_store
from storage.store.verification import verify

HERE = Path(__file__).parent
KILLS = 50
VIDEOS = 1000

WRITER = """
import os, sys
from store_material import add
from storage.errors import StoreError
from storage.store import sealing
from storage.store.store import open_store
assert os.getpid() == 1
sealing.SHARD_BYTES = 400_000
folder, first, last, step = sys.argv[1], *map(int, sys.argv[2:])
stored = 0
with open_store(folder, "a") as store:
    for number in range(first, last, step):
        video = f"v{number:04d}"
        if video not in store:
            try:
                add(store, video, number % 9)
            except StoreError as error:
                assert "already" in str(error), error
            else:
                stored += 1
print(stored)
"""
READER = """
import os, sys
from store_material import check
from storage.store.store import open_store
assert os.getpid() == 1
store = open_store(sys.argv[1])
seen = set()
while len(seen) < int(sys.argv[2]):
    fresh = set(store.videos()) - seen
    for video in sorted(fresh):
        check(store, video)
    seen |= fresh
print(len(seen))
"""


SLOW_READER = """
import os, sys
from store_material import check
from storage.store.store import open_store
assert os.getpid() == 1
store = open_store(sys.argv[1])
part = store.part("000000")
with part.reading():
    print("reads", flush=True)
    sys.stdin.readline()
for _ in range(40):
    for video in store.videos():
        if video.startswith("keep"):
            check(store, video)
print("whole", flush=True)
"""


def machine(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python program as process 1 of a machine."""
    apart = ["unshare", "--pid", "--fork", "--mount", "--mount-proc"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("this needs PID and mount namespaces, which are not allowed here")
    paths = os.pathsep.join([str(HERE.parents[1]), *sys.path])
    return subprocess.Popen(
        [*apart, sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_readers_in_containers_read_at_once(tmp_path: Path) -> None:
    """Each is process 1 of its own namespace, and all read while a writer adds and deletes."""
    folder = tmp_path / "s"
    store = filled(folder, {"keep a": 30, "keep b": 30})
    readers = [machine(SLOW_READER, folder) for _ in range(3)]
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


@pytest.mark.slow
def test_two_machines_write_a_thousand_videos_while_a_third_reads(tmp_path: Path) -> None:
    """They begin at both ends and go on to the other one's, so they meet."""
    folder = tmp_path / "s"
    open_store(folder, "w", RAW).close()
    machines = [
        machine(WRITER, folder, 0, VIDEOS, 1),
        machine(WRITER, folder, VIDEOS - 1, -1, -1),
        machine(READER, folder, VIDEOS),
    ]
    said = []
    try:
        for each in machines:
            out, _ = each.communicate(timeout=600)
            assert each.returncode == 0, out
            said.append(int(out))
    finally:
        for each in machines:
            each.kill()
    assert min(said) > 0  # both wrote
    assert said[2] == VIDEOS
    store = open_store(folder)
    assert store.videos() == [f"v{number:04d}" for number in range(VIDEOS)]
    held = [video for name in store.shards() for video in store.videos_in(name)]
    assert sorted(held) == store.videos()  # each of them once
    assert sum(sealing.is_sealed(folder / "shards" / name) for name in store.shards()) > 4
    store.close()
    report = verify(folder)
    assert not report.damaged
    assert report.videos == VIDEOS


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def work_on(folder: Path, notes: Path, seed: int) -> None:
    """Add, replace and delete for ever, and note each step before and after it."""
    chance = random.Random(seed)
    log = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    store = open_store(folder, "a")
    while True:
        video = f"v{chance.randrange(12)}"
        there = video in store
        what = "-" if there and chance.random() < 0.4 else str(chance.randrange(25))
        os.write(log, f"? {video} {what}\n".encode())
        if what == "-":
            store.delete(video)
        else:
            add(store, video, int(what), replace=there)
        os.write(log, f"! {video} {what}\n".encode())


@pytest.mark.slow
def test_fifty_kills_lose_nothing_that_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every step that was told to be done, the outcome stays; of the one that the kill struck,
    all is there or nothing, now or when the next writer has cleared up."""
    monkeypatch.setattr(writer, "FLUSH", 1500)
    monkeypatch.setattr(shard, "FIRST_MAP", 1 << 18)
    monkeypatch.setattr(sealing, "SHARD_BYTES", 120_000)
    folder, notes = tmp_path / "s", tmp_path / "notes"
    open_store(folder, "w", RAW).close()
    chance = random.Random(7)
    for kill in range(KILLS):
        child = start(work_on, folder, notes, kill)
        before, least = size_of(notes), chance.choice([1, 20, 60])
        while child.is_alive() and size_of(notes) < before + least:
            time.sleep(0.001)  # until it is at work, or has done some of it
        time.sleep(chance.uniform(0, 0.02))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        end(child, -signal.SIGKILL)
        allowed: dict[str, set[str]] = {}
        for line in notes.read_text().splitlines():
            mark, video, what = line.split(" ")
            known = allowed.setdefault(video, {"-"})
            allowed[video] = known | {what} if mark == "?" else {what}
        with open_store(folder) as store:
            there = {video: str(store.video(video).pairs) for video in store.videos()}
            for video, outcomes in allowed.items():
                assert there.get(video, "-") in outcomes, (kill, video)
            for video in there:
                check(store, video)
        with open(notes, "a") as file:
            for video, outcomes in allowed.items():
                # what the kill left is the truth from here on; but what was stored whole and not
                # shown yet may be shown by the next writer
                late = len(outcomes) > 1 and video not in there
                file.writelines([] if late else [f"! {video} {there.get(video, '-')}\n"])
        if kill % 10 == 9:
            report = verify(folder)
            assert not report.damaged, report.to_json()
            assert report.videos == len(there)
    assert notes.read_text().count("?") > 2 * KILLS
    with open_store(folder, "a") as store:
        add(store, "last", 3)
    report = verify(folder)
    assert not report.damaged
    assert any(sealing.is_sealed(path) for path in (folder / "shards").iterdir())
