"""The LMDB environment of a shard: how it is made, and opened with care."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import lmdb

from storage import atomic
from storage.store import faults, locks
from storage.store.faults import DATA

RECORDS = b"records"
DATABASES = (b"info", b"videos", RECORDS)
_shared: dict[tuple[int, int], tuple[lmdb.Environment, int]] = {}
"""Of sealed shards, by the file's device and number, with the number of their users."""
_guard = threading.Lock()


def open_environment(folder: Path, write: bool, least: int) -> lmdb.Environment:
    """Open, after making sure that reading it cannot kill this process. At least `least` bytes
    are mapped."""
    size = faults.check_length(folder)
    options: dict[str, Any] = {
        "readonly": not write,
        "create": False,
        "lock": False,
        "max_dbs": len(DATABASES),
        "readahead": False,
        "max_spare_txns": 0,
        "map_size": max(size, least),
    }
    try:
        env = lmdb.open(str(folder), **options)
    except lmdb.Error as error:
        raise faults.explained(folder, error, opening=True) from error
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    size = os.path.getsize(folder / DATA)
    if size < needed:
        env.close()
        raise faults.truncated(folder, size, needed)
    return env


def open_shared(folder: Path, least: int) -> lmdb.Environment:
    """The environment of a sealed shard, to read. Stores that share its file by links share it in
    a process as well, for LMDB opens no file twice. `leave` it when done."""
    with _guard:
        try:
            status = os.stat(folder / DATA)
        except OSError as error:
            raise faults.refused(folder / DATA, error, "opened") from None
        key = (status.st_dev, status.st_ino)
        env, users = _shared.get(key) or (open_environment(folder, False, least), 0)
        _shared[key] = (env, users + 1)
        return env


def leave(env: lmdb.Environment) -> None:
    """Close an environment, unless it is shared and others use it still."""
    with _guard:
        for key, (shared, users) in list(_shared.items()):
            if shared is env:
                if users > 1:
                    _shared[key] = (env, users - 1)
                    return
                del _shared[key]
        env.close()


def shard_names(shards: Path) -> list[str]:
    """Of the folder of shards, sorted. What is being made or was put aside begins with a dot."""
    return sorted(name for name in os.listdir(shards) if not name.startswith("."))


def create_shard(folder: Path) -> None:
    """Make an empty shard in a folder that must not exist."""
    folder.mkdir()
    try:
        env = lmdb.open(str(folder), max_dbs=len(DATABASES), map_size=1 << 20, lock=False)
        try:
            for name in DATABASES:
                env.open_db(name)
        finally:
            env.close()
        (folder / locks.NAME).touch()
        atomic.sync(folder)
    except lmdb.Error as error:
        raise faults.explained(folder, error) from error


def _forget_parents() -> None:
    global _guard
    _shared.clear()
    _guard = threading.Lock()


os.register_at_fork(after_in_child=_forget_parents)
