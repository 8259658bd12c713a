"""The LMDB environment of a shard: how it is made, and opened with care."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lmdb

from storage import atomic
from storage.store import faults, locks
from storage.store.faults import DATA

DATABASES = (b"info", b"videos", b"records")


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
