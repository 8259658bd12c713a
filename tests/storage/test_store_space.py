"""Full disks, limits and read-only places: a clear error, and what was stored is safe."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import in_child
from store_material import RAW, add, check, filled

from storage.errors import StoreError
from storage.store.store import open_store
from storage.store.verification import verify

ROOT = os.geteuid() == 0


def mount(*arguments: object) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this needs to mount, which is not allowed here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    if not ROOT:
        pytest.skip("only root can mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=3m", "tmpfs", place)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(folder: Path) -> list[str]:
    """Add videos until there is no room; returns what was stored."""
    store = open_store(folder, "a", RAW)
    stored: list[str] = []

    def until_full() -> None:
        while len(stored) < 100:
            video = f"v{len(stored):03d}"
            add(store, video, 400)
            stored.append(video)

    with pytest.raises(StoreError, match="is safe"):
        until_full()
    for video in stored:  # by the same process, right after
        check(store, video)
    assert store.videos() == stored
    store.close()
    return stored


def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    folder = small_disk / "s"
    stored = fill(folder)
    assert len(stored) > 5
    store = open_store(folder)
    for video in stored:
        check(store, video)
    store.close()
    assert not verify(folder).damaged
    ballast.unlink()  # room again, and on it goes
    store = open_store(folder, "a")
    add(store, "next", 400)
    check(store, "next")
    store.close()
    report = verify(folder)
    assert (report.damaged, report.videos) == (False, len(stored) + 1)
    assert not report.shards[0].unfinished


def test_a_disk_that_is_full_from_the_start(small_disk: Path) -> None:
    with pytest.raises(OSError, match="space"):
        (small_disk / "ballast").write_bytes(bytes(4 << 20))
    with pytest.raises(StoreError, match="the disk is full"):
        add(open_store(small_disk / "s", "a", RAW), "a", 5)
    (small_disk / "ballast").unlink()
    add(open_store(small_disk / "s", "a", RAW), "a", 5)
    check(open_store(small_disk / "s"), "a")


def test_a_limit_on_file_size_loses_nothing(tmp_path: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        assert len(fill(tmp_path / "s")) > 2

    in_child(limited)
    store = open_store(tmp_path / "s", "a")
    stored = store.videos()
    add(store, "next", 400)
    for video in [*stored, "next"]:
        check(store, video)
    store.close()
    assert not verify(tmp_path / "s").damaged


@pytest.mark.parametrize("with_claim", [True, False])
def test_a_read_only_file_system_can_be_read(tmp_path: Path, with_claim: bool) -> None:
    if not ROOT:
        pytest.skip("only root can mount a file system read-only")
    folder = tmp_path / "s"
    filled(folder, {"a": 5, "b": 40}).close()
    if not with_claim:
        (folder / "shards" / "000000" / "claim").unlink()
    mount("--bind", folder, folder)
    try:
        mount("-o", "remount,ro,bind", folder)
        store = open_store(folder)
        check(store, "a")
        check(store, "b")
        store.close()
        assert verify(folder).videos == 2
        for work in (lambda s: add(s, "c", 1), lambda s: s.delete("a")):
            store = open_store(folder, "a")
            with pytest.raises(StoreError, match="cannot be written"):
                work(store)
            store.close()
        with pytest.raises(StoreError, match="cannot be written"):
            open_store(folder / "inside", "w", RAW)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_another_users_store_can_be_read(tmp_path: Path) -> None:
    if not ROOT:
        pytest.skip("only root can become another user")
    folder = tmp_path / "s"
    filled(folder, {"a": 5}).close()
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    for parent in tmp_path.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)

    def as_nobody() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        store = open_store(folder)
        check(store, "a")
        with pytest.raises(StoreError, match="cannot be written"):
            add(open_store(folder, "a"), "b", 1)
        with pytest.raises(StoreError, match="cannot be written"):
            open_store(folder, "a").delete("a")

    in_child(as_nobody)
    check(open_store(folder), "a")


def test_a_store_can_be_copied(tmp_path: Path) -> None:
    filled(tmp_path / "s", {"a": 5}).close()
    shutil.copytree(tmp_path / "s", tmp_path / "copy")
    store = open_store(tmp_path / "copy", "a")
    check(store, "a")
    add(store, "b", 3)
    assert open_store(tmp_path / "s").videos() == ["a"]
