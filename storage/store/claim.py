"""Which process writes which shard: one each, so that no writer waits for another.

A claim is a lock on the first byte of the file `claim` in the shard's folder (`locks`). The system
drops it when its process ends, however it ends. Each claim has a token, which stands in the marks
of the videos in hand: a writer whose mark was removed or taken over notices it. A shard that is
full is sealed, and never claimed again. Another lock, on a file beside the shards, is held while a
line is added to `index.log`, so that of two writers of one video only one adds it.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from storage import atomic
from storage.store import faults, locks, shard
from storage.store.environment import create_shard, shard_names
from storage.store.shard import SEALED

PUBLISH = "publish"
"""Beside the folder of shards."""
FRESH = ".new-"
"""A shard is made under a name that begins so, and renamed when it is whole."""
STALE = 3600.0
"""Seconds after which such a folder was left behind by a process that died."""


@dataclass
class Claim:
    """A shard that this process writes."""

    descriptor: int
    name: str
    token: bytes
    holders: int = 1
    """Open stores of this process that write it."""
    in_hand: int = 0
    """Videos that are being written now."""
    settled: bool = False
    """Whether what an earlier owner left unfinished was seen to."""
    unfinished: list[int] = field(default_factory=list)
    """Numbers of videos that were given up, and whose records are still there."""


_claims: dict[str, Claim] = {}
"""Of this process, by the real path of the store's folder of shards."""
_guard = threading.RLock()
_publishing = threading.Lock()


def take(shards: Path) -> Claim:
    """Claim a shard in the folder `shards` for this process, or join in its claim."""
    key = os.path.realpath(shards)
    with _guard:
        claim = _claims.get(key)
        if claim is None:
            claim = _claims[key] = _take_any(shards)
        else:
            claim.holders += 1
        return claim


@contextmanager
def current(shards: Path) -> Iterator[Claim | None]:
    """The claim of this process. No other thread changes it inside the block."""
    with _guard:
        yield _claims.get(os.path.realpath(shards))


def exchange(shards: Path) -> Claim:
    """Let go of a sealed shard, and claim another one."""
    key = os.path.realpath(shards)
    with _guard:
        before = _claims.pop(key)
        _unlock(before.descriptor)
        claim = _claims[key] = _take_any(shards)
        claim.holders = before.holders
        return claim


def _take_any(shards: Path) -> Claim:
    while True:
        try:
            names = shard_names(shards)
            for name in names:
                if not (shards / name / SEALED).exists():
                    descriptor = _lock(shards / name)
                    if descriptor is None:
                        continue
                    if not (shards / name / SEALED).exists():
                        return Claim(descriptor, name, os.urandom(16))
                    _unlock(descriptor)  # sealed meanwhile
            _make(shards, next_name(names))
        except OSError as error:
            raise faults.unwritten(shards, error) from None


def give_back(shards: Path) -> None:
    """Undo one `take`."""
    key = os.path.realpath(shards)
    with _guard:
        claim = _claims.get(key)
        if claim is None:
            return  # a forked child's copy of its parent's
        claim.holders -= 1
        if not claim.holders:
            del _claims[key]
            _unlock(claim.descriptor)


@contextmanager
def publishing(shards: Path) -> Iterator[None]:
    """Only one writer of the store at a time is inside the block."""
    with _publishing:
        try:
            descriptor = locks.open_file(shards.parent / PUBLISH)
            locks.lock(descriptor, 0, wait=True)
        except OSError as error:
            raise faults.unwritten(shards.parent, error) from None
        try:
            yield
        finally:
            locks.unlock(descriptor, 0)
            locks.close_file(descriptor)


@contextmanager
def unclaimed(folder: Path) -> Iterator[bool]:
    """Whether no process writes the shard in `folder`. If so, none begins to inside the block."""
    with _guard:
        mine = any(
            Path(key) / claim.name == Path(os.path.realpath(folder))
            for key, claim in _claims.items()
        )
    descriptor, free = None, False
    if not mine:
        try:
            descriptor = _lock(folder)
            free = descriptor is not None
        except OSError as error:
            free = error.errno == errno.EROFS  # then nobody can write it
    try:
        yield free
    finally:
        if descriptor is not None:
            _unlock(descriptor)


@contextmanager
def unopened(folder: Path) -> Iterator[bool]:
    """Whether no process has the shard in `folder` open. If so, none opens it inside the block."""
    descriptor, free = None, False
    if not shard.is_open(folder):
        try:
            descriptor = locks.open_file(folder / locks.NAME)
            free = locks.lock(descriptor, locks.OPEN)
        except OSError as error:
            raise faults.unwritten(folder, error) from None
    try:
        yield free
    finally:
        if descriptor is not None:
            if free:
                locks.unlock(descriptor, locks.OPEN)
            locks.close_file(descriptor)


def next_name(names: list[str]) -> str:
    """The name of the shard after these, which are sorted."""
    return f"{int(names[-1]) + 1 if names else 0:06d}"


def _lock(folder: Path) -> int | None:
    descriptor = locks.open_file(folder / locks.NAME)
    try:
        if locks.lock(descriptor, locks.OWNER):
            return descriptor
    except OSError:
        locks.close_file(descriptor)
        raise
    locks.close_file(descriptor)
    return None


def _unlock(descriptor: int) -> None:
    """A forked child may have a copy of the descriptor, so to close it is not enough."""
    locks.unlock(descriptor, locks.OWNER)
    locks.close_file(descriptor)


def _make(shards: Path, name: str) -> None:
    """A new shard, whole or not there. If another process was quicker, its own will do."""
    fresh = shards / f"{FRESH}{uuid4().hex}"
    create_shard(fresh)
    try:
        os.rename(fresh, shards / name)
        atomic.sync(shards)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not (shards / name).is_dir():
            raise
    remove_stale(shards)


def remove_stale(shards: Path) -> None:
    """Shards that were never whole. Young ones are being made: by a writer, a merge, a repair."""
    for old in shards.glob(f"{FRESH}*"):
        with suppress(FileNotFoundError):  # another process's, which has its name now
            if time.time() - old.stat().st_mtime > STALE:
                shutil.rmtree(old, ignore_errors=True)


def _forget_parents() -> None:
    global _guard, _publishing
    _claims.clear()
    _guard, _publishing = threading.RLock(), threading.Lock()


os.register_at_fork(after_in_child=_forget_parents)
