"""One LMDB file of a store, as this process sees it: opened once, grown when full, never hidden.

LMDB forbids opening a file twice in one process, using it after a fork, and resizing its map while
a transaction runs. This module keeps those rules, so that nobody else needs to know them.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from storage.errors import StoreError

T = TypeVar("T")
Transaction = lmdb.Transaction
DATABASES = (b"info", b"videos", b"records")
DATA = "data.mdb"
LOCK = "lock.mdb"
FIRST_MAP = 64 << 20
MAX_READERS = 4096
"""Slots for read transactions, over all processes of a machine."""

FORK_PATIENCE = 60.0
"""Seconds that a fork waits for this process's transactions to end."""

_open: dict[str, Shard] = {}
_registry = threading.Lock()


class Shard:
    """An LMDB environment of the three databases info, videos and records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.users = 0
        self._env: lmdb.Environment | None = None
        self._writable = False
        self._active = 0
        self._turn = threading.Condition()
        self.info: Any = None
        self.videos: Any = None
        self.records: Any = None

    @contextmanager
    def reading(self) -> Iterator[lmdb.Transaction]:
        """A snapshot of the shard."""
        try:
            with self._transaction(write=False) as txn:
                yield txn
        except lmdb.Error as error:
            raise explained(self.folder, error) from error

    def write(self, work: Callable[[lmdb.Transaction], T]) -> T:
        """Run `work` in one transaction and commit. The map grows as often as it takes.

        `work` may run several times, so it must only touch the transaction.
        """
        while True:
            try:
                with self._transaction(write=True) as txn:
                    return work(txn)
            except lmdb.MapFullError:
                self._resize(grow=True)
            except lmdb.Error as error:
                raise explained(self.folder, error, writing=True) from error

    @contextmanager
    def _transaction(self, write: bool) -> Iterator[lmdb.Transaction]:
        self._enter(write)
        try:
            txn = self._begin(write)
            try:
                yield txn
            except BaseException:
                txn.abort()
                raise
            if write:
                txn.commit()
                self._pad()
            else:
                txn.abort()
        finally:
            with self._turn:
                self._active -= 1
                self._turn.notify_all()

    def _begin(self, write: bool) -> lmdb.Transaction:
        for _ in range(100):
            try:
                # not kept in a variable: while this waits to resize, another thread may reopen it
                if self._env is None:
                    raise StoreError(f"{self.folder} was closed while it was read")
                return self._env.begin(write=write, buffers=True)
            except lmdb.MapResizedError:  # another process grew it
                self._resize(grow=False, inside=1)
            except lmdb.Error as error:
                raise explained(self.folder, error) from error
        raise StoreError(f"{self.folder} grows faster than it can be opened")

    def _enter(self, write: bool) -> None:
        with self._turn:
            if self._env is None or (write and not self._writable):
                self._turn.wait_for(lambda: self._active == 0)
                if self._env is not None and write and not self._writable:
                    self._env.close()
                    self._env = None
                if self._env is None:
                    self._open_environment(write)
            self._active += 1

    def _open_environment(self, write: bool) -> None:
        env = open_environment(self.folder, write)
        try:
            self.info, self.videos, self.records = (
                env.open_db(name, create=False) for name in DATABASES
            )
        except lmdb.Error as error:
            env.close()
            raise explained(self.folder, error) from error
        self._env, self._writable = env, write

    def _resize(self, grow: bool, inside: int = 0) -> None:
        """Map more of the file. Waits until this process has no transaction on it."""
        with self._turn:
            self._active -= inside
            self._turn.wait_for(lambda: self._active == 0)
            try:
                if self._env is not None:
                    size = self._env.info()["map_size"]
                    # 0 takes over what the file says
                    self._env.set_mapsize(max(2 * size, FIRST_MAP) if grow else 0)
            except lmdb.Error as error:
                raise explained(self.folder, error) from error
            finally:
                self._active += inside

    def _pad(self) -> None:
        """Keep the file as long as its pages: freed pages at the end may never be written, and
        a file that is too short counts as truncated."""
        assert self._env is not None
        data = self.folder / DATA
        length = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
        with suppress(OSError):  # what was committed is whole without it
            if os.path.getsize(data) < length:
                os.truncate(data, length)

    def close(self) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._active == 0)
            if self._env is not None:
                self._env.close()
                self._env = None

    def before_fork(self) -> None:
        """Let running transactions end and none begin: a child's copy of one must not exist."""
        self._turn.acquire()
        self._turn.wait_for(lambda: self._active == 0, FORK_PATIENCE)

    def after_fork(self) -> None:
        self._turn.release()

    def forget(self) -> None:
        """In a forked child: make way for an environment of its own. The parent's goes on."""
        if self._env is not None and self._active == 0:
            self._env.close()


def open_environment(folder: Path, write: bool) -> lmdb.Environment:
    """Open, after making sure that reading it cannot kill this process."""
    size = check_length(folder)
    options: dict[str, Any] = {
        "readonly": not write,
        "create": False,
        "max_dbs": len(DATABASES),
        "readahead": False,
        "max_readers": MAX_READERS,
        "max_spare_txns": 0,  # a forked child would free the slots that the parent's spare ones own
        "map_size": max(size, FIRST_MAP),
    }
    try:
        try:
            env = lmdb.open(str(folder), **options)
        except lmdb.Error:
            if write or os.access(folder / LOCK, os.W_OK):
                raise
            # on a read-only medium there is nobody to lock out
            env = lmdb.open(str(folder), lock=False, **options)
    except lmdb.Error as error:
        raise explained(folder, error) from error
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    size = os.path.getsize(folder / DATA)
    if size < needed:
        env.close()
        raise truncated(folder, size, needed)
    if write:
        env.reader_check()  # forget readers that died
    return env


def check_length(folder: Path) -> int:
    """Bytes of the data file. An error if not even its first two pages are there."""
    try:
        size = os.path.getsize(folder / DATA)
    except OSError as error:
        raise StoreError(f"{folder / DATA} cannot be opened: {error.strerror}") from None
    if size < 2 * mmap.PAGESIZE:
        raise truncated(folder, size, 2 * mmap.PAGESIZE)
    return size


def truncated(folder: Path, size: int, needed: int) -> StoreError:
    return StoreError(
        f"{folder / DATA} is truncated: {size} bytes are left of {needed}; "
        f"`twostream verify {folder.parent.parent} --repair` drops what is lost"
    )


def explained(folder: Path, error: lmdb.Error, writing: bool = False) -> StoreError:
    """An LMDB error in words that help."""
    text = str(error)
    if "No space left" in text:
        return StoreError(f"{folder}: the disk is full; what was stored is safe: free space, go on")
    if "File too large" in text:
        return StoreError(
            f"{folder}: files may not grow further (ulimit -f); what was stored is safe"
        )
    if isinstance(error, lmdb.ReadonlyError) or "Read-only" in text or "denied" in text:
        return StoreError(f"{folder} cannot be written: {text}")
    if writing and "Input/output" in text:  # LMDB's word for a write that was cut short
        return StoreError(
            f"{folder} cannot be written: the disk is full, limited (ulimit -f) or failing; "
            "what was stored is safe"
        )
    if isinstance(error, lmdb.ReadersFullError):
        return StoreError(f"{folder}: more than {MAX_READERS} readers at once")
    return StoreError(
        f"{folder} is damaged ({text}); `twostream verify {folder.parent.parent} --repair`"
    )


def on_disk(path: Path) -> int:
    """Bytes that a file takes on the disk, holes left out."""
    return os.stat(path).st_blocks * 512


def is_open(folder: Path) -> bool:
    """Whether this process has the shard in `folder` open."""
    with _registry:
        return os.path.realpath(folder) in _open


def acquire(folder: Path) -> Shard:
    """The shard in `folder`. `release` it when done."""
    name = os.path.realpath(folder)
    with _registry:
        shard = _open.get(name)
        if shard is None:
            shard = _open[name] = Shard(Path(folder))
        shard.users += 1
        return shard


def release(shard: Shard) -> None:
    """The last one out closes it."""
    name = os.path.realpath(shard.folder)
    with _registry:
        if _open.get(name) is not shard:
            return  # inherited from a parent process
        shard.users -= 1
        if shard.users:
            return
        del _open[name]
    shard.close()


def create_shard(folder: Path) -> None:
    """Make an empty shard in a folder that must not exist."""
    folder.mkdir()
    try:
        env = lmdb.open(str(folder), max_dbs=len(DATABASES), map_size=1 << 20)
        try:
            for name in DATABASES:
                env.open_db(name)
        finally:
            env.close()
    except lmdb.Error as error:
        raise explained(folder, error) from error


def _before_fork() -> None:
    _registry.acquire()
    for shard in _open.values():
        shard.before_fork()


def _after_fork_in_parent() -> None:
    for shard in _open.values():
        shard.after_fork()
    _registry.release()


def _after_fork_in_child() -> None:
    """A child opens anew what it reads."""
    global _open, _registry
    for shard in _open.values():
        shard.forget()
    _open = {}
    _registry = threading.Lock()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
