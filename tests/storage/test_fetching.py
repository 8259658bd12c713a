"""A fetched file is whole, or it is not there."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from children import end, in_child, start

from storage import StoreError, UserError
from storage.remote import FileCache, read_remote
from storage.remote import fetching as module

DATA = bytes(range(256)) * 4096 * 3  # three pieces
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def url(tmp_path: Path) -> str:
    (tmp_path / "far").write_bytes(DATA)
    return f"file://{tmp_path}/far"


def fetch(cache: FileCache, url: str, name: str = "near") -> Path:
    return cache.fetch(url, name, len(DATA), SHA256)


def test_a_file_is_fetched_once(url: str, tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache")
    path = fetch(cache, url)
    assert path.read_bytes() == DATA
    (tmp_path / "far").unlink()
    assert fetch(cache, url) == path
    with pytest.raises(StoreError, match="far does not exist"):
        fetch(cache, url, "other")


@pytest.mark.parametrize("wrong", [DATA[:-1], DATA + b"x", b"y" + DATA[1:]])
def test_other_bytes_than_the_index_says_are_not_kept(
    wrong: bytes, url: str, tmp_path: Path
) -> None:
    (tmp_path / "far").write_bytes(wrong)
    with pytest.raises(StoreError, match="is not what its index says"):
        fetch(FileCache(tmp_path / "cache"), url)
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [".lock-near"]


def fetch_and_die(cache: FileCache, url: str, at: int) -> None:
    """SIGKILL when the `at`-th piece has come, or, after the last, when the file gets its name."""

    class Dying:
        def __init__(self, source: Any) -> None:
            self.source, self.count = source, 0

        def read(self, size: int) -> bytes:
            if self.count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.count += 1
            return bytes(self.source.read(size))

    opened = module.opened

    def dying(url: str) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def inner() -> Iterator[Any]:
            with opened(url) as source:
                yield Dying(source)

        return inner()

    module.opened = dying  # type: ignore[assignment]
    os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    fetch(cache, url)


@pytest.mark.parametrize("at", [0, 1, 3, 99])
def test_a_killed_fetch_leaves_nothing_that_passes_for_the_file(
    at: int, url: str, tmp_path: Path
) -> None:
    cache = FileCache(tmp_path / "cache")
    in_child(fetch_and_die, cache, url, at, code=-signal.SIGKILL)
    assert not (tmp_path / "cache" / "near").exists()
    assert fetch(cache, url).read_bytes() == DATA
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == [".lock-near", "near"]


def test_many_processes_fetch_one_file_once(url: str, tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache")

    def check() -> None:
        path = fetch(cache, url)
        (tmp_path / f"seen {os.getpid()} {path.stat().st_ino}").touch()

    children = [start(check) for _ in range(4)]
    for child in children:
        end(child)
    seen = [path.name.split()[2] for path in tmp_path.glob("seen *")]
    assert len(seen) == 4
    assert len(set(seen)) == 1


def test_a_bounded_cache_lets_go_of_what_was_not_used_for_longest(url: str, tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", most_bytes=2 * len(DATA))
    now = 1_000_000_000
    for turn, name in enumerate(("a", "b", "a", "c")):
        path = fetch(cache, url, name)
        os.utime(path, (now + turn, now + turn))
    assert sorted(p.name for p in (tmp_path / "cache").glob("[abc]")) == ["a", "c"]


def test_what_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/small", b"hello")
    assert read_remote("memory://bucket/small") == b"hello"
    memory.rm("/bucket", recursive=True)
    with pytest.raises(StoreError, match="does not exist"):
        read_remote("memory://bucket/small")
    with pytest.raises(UserError, match="nonsense://x cannot be opened"):
        read_remote("nonsense://x")
