"""Whole files from elsewhere, one by one, into a folder that keeps them.

fsspec opens them: `s3://` (with s3fs), `gs://` (gcsfs), `https://` (aiohttp), `memory://`, paths.
A file appears in the folder when all of it has come and its SHA-256 is right, so a process that is
killed leaves no part of a file that could be taken for the whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage import atomic
from storage.errors import StoreError, UserError

PIECE = 1 << 20
LOCK, DRAFT = ".lock-", ".part-"


def read_remote(url: str) -> bytes:
    """All of a small file."""
    with opened(url) as source:
        data: bytes = source.read()
        return data


@dataclass(frozen=True)
class FileCache:
    """A folder of fetched files. Any number of processes may use it at once."""

    folder: Path
    most_bytes: int | None = None
    """Files that were not used for longest go when there are more; None keeps all."""

    def fetch(self, url: str, name: str, size: int, sha256: str) -> Path:
        """The file at `url` as `name` in the folder, fetched if it is not there."""
        path = self.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._there(path, size):
            with alone_with(self.folder / (LOCK + name)):
                if not self._there(path, size):  # another process was quicker
                    for left in self.folder.glob(f"{DRAFT}*.{name}"):
                        left.unlink(missing_ok=True)  # of a process that was killed
                    self._fetch(url, path, size, sha256)
            self._make_room(path)
        return path

    def _there(self, path: Path, size: int) -> bool:
        try:
            same = path.stat().st_size == size
            os.utime(path)
        except OSError:
            return False
        return same

    def _fetch(self, url: str, path: Path, size: int, sha256: str) -> None:
        digest, count = hashlib.sha256(), 0
        with atomic.draft(path) as fresh:
            with opened(url) as source, open(fresh, "wb") as target:
                while piece := source.read(PIECE):
                    digest.update(piece)
                    count += len(piece)
                    target.write(piece)
            if (count, digest.hexdigest()) != (size, sha256):
                raise StoreError(
                    f"{url} is not what its index says: {count} bytes, sha256 "
                    f"{digest.hexdigest()[:12]}, instead of {size}, {sha256[:12]}"
                )
            atomic.move(fresh, path)

    def _make_room(self, newest: Path) -> None:
        """Let go of old files. Whoever reads one keeps it until it closes it."""
        if self.most_bytes is None:
            return
        files = []
        for path in self.folder.iterdir():
            with suppress(OSError):
                if not path.name.startswith((LOCK, DRAFT)) and path != newest:
                    about = path.stat()
                    files.append((about.st_mtime_ns, about.st_size, path))
        total = newest.stat().st_size + sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.most_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """One process at a time, by a lock on this file, which ends with the process, however that
    ends."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def opened(url: str) -> Iterator[Any]:
    """A file to read from; what hinders it as one line."""
    try:
        import fsspec
    except ImportError:
        raise UserError("reading from URLs needs fsspec: pip install 'twostream[shards]'") from None
    try:
        with fsspec.open(url, "rb") as source:
            yield source
    except FileNotFoundError:
        raise StoreError(f"{url} does not exist") from None
    except (ImportError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{url} cannot be opened: {error}") from None
