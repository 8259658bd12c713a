"""One LMDB file of a store, as this process sees it: opened once, grown when full, never hidden.

LMDB forbids opening a file twice in one process, using it after a fork, and resizing its map while
a transaction runs. This module keeps those rules, and the locks that stand for LMDB's own
(`locks`), so that nobody else needs to know them.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from storage.errors import StoreError
from storage.store import environment, faults, locks
from storage.store.environment import DATABASES, RECORDS
from storage.store.faults import DATA
from storage.store.tree import Record, Tree

T = TypeVar("T")
Transaction = lmdb.Transaction
SEALED = "sealed.json"
"""Beside the data file of a shard that nobody writes any more (`sealing`)."""
FIRST_MAP = 64 << 20
MOST_OPEN = 200
"""Shards that a process maps at once, those left out that it writes or is reading."""
FORK_PATIENCE = 60.0
"""Seconds that a fork waits for this process's transactions to end."""

_open: dict[str, Shard] = {}
_mapped: dict[Shard, None] = {}
"""Those with an open environment, the longest open first."""
_registry = threading.Lock()


class Shard:
    """An LMDB environment of the three databases info, videos and records."""

    def __init__(self, folder: Path, locked: bool = False) -> None:
        self.folder = folder
        self.users = 0
        self._locked = locked
        """Whether it is used without locks: somebody keeps others away, or it is sealed."""
        self._descriptors: list[int] = []
        """Of the file of locks, not in use by a transaction."""
        self._opened: int | None = None
        """The one whose lock says that the shard is open."""
        self._single = nullcontext() if locks.OFD else threading.RLock()
        self._env: lmdb.Environment | None = None
        self._writable = False
        self._active = 0
        self._turn = threading.Condition()
        self._tree: Tree | None = None
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
            raise faults.explained(self.folder, error) from error

    def record(self, key: bytes, txn: lmdb.Transaction) -> Record | None:
        """Where a record lies in the state that `txn` reads; good as long as `txn` is open."""
        assert self._tree is not None
        place = self._tree.find(key, txn.id())
        return None if place is None else Record(self._tree, *place)

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
                raise faults.explained(self.folder, error, writing=True) from error

    @contextmanager
    def _transaction(self, write: bool) -> Iterator[lmdb.Transaction]:
        self._enter(write)
        try:
            with self._single:
                descriptor = self._lock_file(write)
                try:
                    txn = self._begin(write, descriptor)
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
                    if descriptor is not None:
                        let_go(descriptor, write)
                        self._descriptors.append(descriptor)
        finally:
            with self._turn:
                self._active -= 1
                self._turn.notify_all()

    def _lock_file(self, write: bool) -> int | None:
        """A descriptor for one transaction's locks, or None where it needs none."""
        if self._locked or (not write and self._opened is None):
            return None
        try:
            return self._descriptors.pop()
        except IndexError:
            pass
        try:
            return locks.open_file(self.folder / locks.NAME)
        except OSError as error:
            raise faults.refused(self.folder, error, "written" if write else "read") from error

    def _begin(self, write: bool, descriptor: int | None) -> lmdb.Transaction:
        for _ in range(1000):
            try:
                # not kept in a variable: while this waits to resize, another thread may reopen it
                if self._env is None:
                    raise StoreError(f"{self.folder} was closed while it was read")
                if descriptor is None:
                    return self._env.begin(write=write, buffers=True)
                if write:
                    self._lock_to_write(descriptor)
                    return self._env.begin(write=True, buffers=True)
                state = self._env.info()["last_txnid"]
                locks.lock(descriptor, locks.STATES + state, shared=True, wait=True)
                txn = self._env.begin(buffers=True)
                if txn.id() == state:
                    return txn
                txn.abort()  # a writer was quicker than the lock
                locks.unlock(descriptor, locks.STATES + state)
            except lmdb.MapResizedError:  # another process grew it
                if descriptor is not None:  # other threads may wait for this very lock
                    let_go(descriptor, write)
                self._resize(grow=False, inside=1)
            except lmdb.Error as error:
                raise faults.explained(self.folder, error) from error
            except OSError as error:
                raise faults.refused(self.folder, error, "written" if write else "read") from error
        raise StoreError(f"{self.folder} grows faster than it can be opened")

    def _lock_to_write(self, descriptor: int) -> None:
        """Be the only writer, and wait until nobody reads an older state than the last."""
        locks.lock(descriptor, locks.WRITE, wait=True)
        mine, there = os.fstat(descriptor), os.stat(self.folder / locks.NAME)
        if not os.path.samestat(mine, there):
            raise StoreError(
                f"{self.folder / locks.NAME} was exchanged while the shard was written; "
                "nothing more is written to it"
            )
        assert self._env is not None
        state = self._env.info()["last_txnid"]
        if state:
            locks.patiently(
                lambda: locks.lock(descriptor, locks.STATES, state),
                f"{self.folder} cannot be written: a process has been reading one state of it for "
                f"{locks.PATIENCE:.0f} s; end it, or let it go on if it is stopped",
            )
            locks.unlock(descriptor, locks.STATES, state)

    def _enter(self, write: bool) -> None:
        with self._turn:
            if self._env is None or (write and not self._writable):
                self._turn.wait_for(lambda: self._active == 0)
                if self._env is not None and write and not self._writable:
                    self._close_environment()
                if self._env is None:
                    self._open_environment(write)
            self._active += 1

    def _open_environment(self, write: bool) -> None:
        sealed = (self.folder / SEALED).exists()
        if sealed:
            if write:
                raise StoreError(f"{self.folder} is sealed: nobody writes it any more")
            self._locked = True
        rest_others(self)
        self._lock_open()
        try:
            if sealed:
                env = environment.open_shared(self.folder, FIRST_MAP)
            else:
                env = environment.open_environment(self.folder, write, FIRST_MAP)
            try:
                self.info, self.videos, self.records = (
                    env.open_db(name, create=False) for name in DATABASES
                )
            except lmdb.Error as error:
                environment.leave(env)
                raise faults.explained(self.folder, error, opening=True) from error
            self._tree = Tree(self.folder / DATA, RECORDS, env.stat()["psize"])
        except BaseException:
            self._close_environment()
            raise
        self._env, self._writable = env, write
        _mapped[self] = None

    def rest(self) -> None:
        """Close the environment if that makes nobody wait; the next transaction opens it again."""
        if self._turn.acquire(blocking=False):
            try:
                if not self._active and not self._writable:
                    self._close_environment()
            finally:
                self._turn.release()

    def _lock_open(self) -> None:
        """Say to other processes that the shard is open here, so that it stays where it is."""
        if self._locked:
            return
        try:
            descriptor = locks.open_file(self.folder / locks.NAME)
        except OSError as error:
            if error.errno == errno.EROFS or not self.folder.is_dir():
                return  # nobody can write it; or the data file's absence is told next
            if error.errno in (errno.EACCES, errno.EPERM):
                raise StoreError(
                    f"{self.folder} cannot be read safely beside a writer: it has no file "
                    f"`{locks.NAME}` that you may read; ask its owner to make one (touch)"
                ) from error
            raise faults.refused(self.folder, error, "opened") from error
        self._opened = descriptor
        try:
            locks.patiently(
                lambda: locks.lock(descriptor, locks.OPEN, shared=True),
                f"{self.folder} is being compacted or repaired, or written by an older "
                "version of this program; open it when that has ended",
            )
        except OSError as error:
            self._close_environment()
            if error.errno not in locks.UNSUPPORTED:  # where nobody can lock, nobody can write
                raise faults.refused(self.folder, error, "opened") from error
        except BaseException:
            self._close_environment()
            raise

    def _close_environment(self) -> None:
        _mapped.pop(self, None)
        if self._env is not None:
            environment.leave(self._env)
            self._env = None
        if self._tree is not None:
            self._tree.close()
            self._tree = None
        opened = [] if self._opened is None else [self._opened]
        for descriptor in self._descriptors + opened:
            locks.close_file(descriptor)
        if opened and not locks.OFD:
            locks.unlock(opened[0], locks.OPEN)
        self._descriptors, self._opened = [], None

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
                raise faults.explained(self.folder, error) from error
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

    @property
    def mapped(self) -> bool:
        return self._env is not None

    def close(self) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._active == 0)
            self._close_environment()

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
        if self._tree is not None:
            self._tree.close()


def rest_others(opening: Shard) -> None:
    """Before one more is opened: a process may have only so many files open."""
    if len(_mapped) >= MOST_OPEN:
        for shard in list(_mapped)[: len(_mapped) - MOST_OPEN + 1]:
            if shard is not opening:
                shard.rest()


def let_go(descriptor: int, write: bool) -> None:
    """End a transaction's locks, and no others: without OFD locks a process has one set of all."""
    if write:
        locks.unlock(descriptor, locks.WRITE)
    else:
        locks.unlock(descriptor, locks.STATES, 0)


def on_disk(path: Path) -> int:
    """Bytes that a file takes on the disk, holes left out."""
    return os.stat(path).st_blocks * 512


def is_open(folder: Path) -> bool:
    """Whether this process has the shard in `folder` open."""
    with _registry:
        shard = _open.get(os.path.realpath(folder))
        return shard is not None and shard.mapped


def acquire(folder: Path, locked: bool = False) -> Shard:
    """The shard in `folder`. `release` it when done. `locked`: the caller, or its parent process,
    has seen to it that nobody else has it open."""
    name = os.path.realpath(folder)
    with _registry:
        shard = _open.get(name)
        if shard is None:
            shard = _open[name] = Shard(Path(folder), locked)
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
    _mapped.clear()
    _registry = threading.Lock()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
