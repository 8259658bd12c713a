"""Locks on byte ranges of a shard's file `claim`, by which processes keep out of each other's way.

| byte | lock | held |
|---|---|---|
| 0 | exclusive | by the process that owns the shard, the only one that adds to it |
| 1 | exclusive | while a write transaction runs |
| 2 | shared | while the shard is open; exclusive while it is exchanged as a whole |
| 16 + t | shared | while a transaction reads the state that write transaction t left |

A write transaction begins when nobody reads an older state than the last. So the pages that it
uses again are nobody's. LMDB's own lock file is not used: its table of readers is keyed by process
numbers, which containers share, and its locks end when the process closes any descriptor of it.

The locks belong to the open file (F_OFD_SETLK), not to the process: a copy of the store made by a
process that writes it lets go of nothing. A forked child has them too until it closes its copies
of the descriptors, which is at once. Systems without such locks (all but Linux) get POSIX locks:
there the transactions of one process take turns, and a process must not copy a store that it
writes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from storage.errors import StoreError

NAME = "claim"
OWNER, WRITE, OPEN, STATES = 0, 1, 2, 16
PATIENCE = 60.0
"""Seconds that a process waits for another one's lock before it says so."""
OFD = hasattr(fcntl, "F_OFD_SETLK")
UNSUPPORTED = (errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
_FLOCK = struct.Struct("@hhqqi0q")
_kept: dict[str, int] = {}
"""Without OFD: descriptors by path. To close one would end this process's locks on the file."""
_descriptors: set[int] = set()
"""With OFD: those that are open."""
_keeping = threading.Lock()


def open_file(path: Path) -> int:
    """A descriptor to lock `path` by. The file is made if it can be and is not there."""
    with _keeping:
        kept = _kept.get(os.path.realpath(path))
        if kept is not None:
            return kept
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise error from None
        if OFD:
            _descriptors.add(descriptor)
        else:
            _kept[os.path.realpath(path)] = descriptor
        return descriptor


def close_file(descriptor: int) -> None:
    """Close a descriptor, and end its locks, unless a forked process has a copy of it."""
    if OFD:
        with _keeping:
            _descriptors.discard(descriptor)
            os.close(descriptor)


def lock(
    descriptor: int, start: int, length: int = 1, shared: bool = False, wait: bool = False
) -> bool:
    """Lock bytes. False if another open file holds a lock that does not allow it.

    Length 0 means: to the end, however large it gets.
    """
    try:
        _set(descriptor, fcntl.F_RDLCK if shared else fcntl.F_WRLCK, start, length, wait)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno == errno.EBADF:  # an exclusive lock asks for a file that may be written
            raise OSError(errno.EACCES, "its file `claim` may not be written") from None
        raise
    return True


def unlock(descriptor: int, start: int, length: int = 1) -> None:
    _set(descriptor, fcntl.F_UNLCK, start, length, False)


def patiently(attempt: Callable[[], bool], complaint: str) -> None:
    """Try until it succeeds. After `PATIENCE` seconds the complaint is raised."""
    began, pause = time.monotonic(), 0.0002
    while not attempt():
        if time.monotonic() - began > PATIENCE:
            raise StoreError(complaint)
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _set(descriptor: int, kind: int, start: int, length: int, wait: bool) -> None:
    if OFD:
        command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
        fcntl.fcntl(descriptor, command, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
        return
    operation = {fcntl.F_RDLCK: fcntl.LOCK_SH, fcntl.F_WRLCK: fcntl.LOCK_EX}.get(kind)
    if operation is None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, length, start)
    else:
        fcntl.lockf(descriptor, operation | (0 if wait else fcntl.LOCK_NB), length, start)


def _forget_parents() -> None:
    global _keeping
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()
    _keeping = threading.Lock()


os.register_at_fork(after_in_child=_forget_parents)
