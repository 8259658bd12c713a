"""Which process writes which shard: one each, so that no writer waits for another.

A claim is a POSIX record lock on the file `claim` in the shard's folder. The system drops it when
its process ends, however it ends, and a forked child does not inherit it. Another lock, on a file
beside the shards, is held for the moment in which a video becomes visible, so that of two writers
of one video only one adds it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import StoreError
from storage.store import shard

CLAIM = "claim"
PUBLISH = "publish"
"""Beside the folder of shards."""
FRESH = ".new-"
"""A shard is made under a name that begins so, and renamed when it is whole."""
STALE = 3600.0
"""Seconds after which such a folder was left behind by a process that died."""

_claims: dict[str, tuple[int, str, int]] = {}
"""Of this process: the store's real path -> the lock's descriptor, the shard, how many hold it."""
_guard = threading.Lock()
_publishing = threading.Lock()


def take(shards: Path) -> tuple[str, bool]:
    """Claim a shard in the folder `shards` for this process: its name, and whether it is new to
    this process (then what an earlier owner old unfinished may be removed)."""
    key = os.path.realpath(shards)
    with _guard:
        if key in _claims:
            descriptor, name, holders = _claims[key]
            _claims[key] = descriptor, name, holders + 1
            return name, False
        while True:
            try:
                names = sorted(n for n in os.listdir(shards) if not n.startswith("."))
                for name in names:
                    locked = _lock(shards / name / CLAIM)
                    if locked is not None:
                        _claims[key] = locked, name, 1
                        return name, True
                _make(shards, f"{int(names[-1]) + 1 if names else 0:06d}")
            except OSError as error:
                raise StoreError(f"{shards} cannot be written: {error.strerror}") from None


def give_back(shards: Path) -> None:
    """Undo one `take`."""
    key = os.path.realpath(shards)
    with _guard:
        if key not in _claims:
            return  # a forked child's copy of its parent's
        descriptor, name, holders = _claims[key]
        if holders > 1:
            _claims[key] = descriptor, name, holders - 1
        else:
            del _claims[key]
            os.close(descriptor)


@contextmanager
def publishing(shards: Path) -> Iterator[None]:
    """Only one writer of the store at a time is inside the block."""
    with _publishing:
        try:
            descriptor = os.open(
                shards.parent / PUBLISH, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666
            )
        except OSError as error:
            raise StoreError(f"{shards.parent} cannot be written: {error.strerror}") from None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def unclaimed(folder: Path) -> Iterator[bool]:
    """Whether no process writes the shard in `folder`. If so, none begins to inside the block."""
    with _guard:
        mine = any(
            Path(key) / name == Path(os.path.realpath(folder))
            for key, (_, name, _) in _claims.items()
        )
    locked, free = None, False
    if not mine:
        try:
            locked = _lock(folder / CLAIM)
            free = locked is not None
        except OSError as error:
            free = error.errno == errno.EROFS  # then nobody can write it
    try:
        yield free
    finally:
        if locked is not None:
            os.close(locked)


def _lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _make(shards: Path, name: str) -> None:
    """A new shard, whole or not there. If another process was quicker, its own will do."""
    fresh = shards / f"{FRESH}{os.getpid()}-{time.monotonic_ns()}"
    shard.create_shard(fresh)
    try:
        os.rename(fresh, shards / name)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not (shards / name).is_dir():
            raise
    for old in shards.glob(f"{FRESH}*"):
        if time.time() - old.stat().st_mtime > STALE:
            shutil.rmtree(old, ignore_errors=True)


def _forget_parents() -> None:
    global _guard, _publishing
    for descriptor, _, _ in _claims.values():
        os.close(descriptor)
    _claims.clear()
    _guard, _publishing = threading.Lock(), threading.Lock()


os.register_at_fork(after_in_child=_forget_parents)
