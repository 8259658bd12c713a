"""Giving back the space that deleted and replaced videos left."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb

from storage import atomic
from storage.store import faults, shard
from storage.store.claim import FRESH, unclaimed, unopened
from storage.store.salvage import BROKEN
from storage.store.sharded import ShardedStore
from storage.store.store import Store


@dataclass(frozen=True)
class CompactedShard:
    """What became of one shard."""

    name: str
    before: int
    """Bytes on disk."""
    after: int
    skipped: str = ""
    """Why it was left as it is."""


def compact(path: Path, kind: type[ShardedStore[Any, Any]] = Store) -> list[CompactedShard]:
    """Write every shard that nobody has open anew, without holes; drop second copies first."""
    store = kind.open(path, "a")
    folder = path / "shards"
    for old in [*folder.glob(f"{BROKEN}*"), *folder.glob(f"{FRESH}*")]:
        shutil.rmtree(old)
    drop_second_copies(store)
    names = store.shards()
    store.close()
    return [compact_shard(folder / name) for name in names]


def drop_second_copies(store: ShardedStore[Any, Any]) -> None:
    """Two processes may have stored a video at the same moment; the first shard's counts."""
    seen: set[str] = set()
    for name in store.shards():
        videos = store.videos_in(name)
        for video in seen.intersection(videos):
            store.delete_in(name, video)
        seen.update(videos)


def compact_shard(folder: Path) -> CompactedShard:
    data = folder / shard.DATA
    before = shard.on_disk(data)
    if shard.is_open(folder):
        return CompactedShard(folder.name, before, before, "this process has it open")
    with unclaimed(folder) as free, unopened(folder) as unread:
        if not free:
            return CompactedShard(folder.name, before, before, "it is being written")
        if not unread:
            return CompactedShard(folder.name, before, before, "another process reads it")
        fresh = folder / f"{FRESH}compact"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        try:
            faults.check_length(folder)
            env = lmdb.open(str(folder), readonly=True, lock=False, max_dbs=3, create=False)
            try:
                env.copy(str(fresh), compact=True)
            finally:
                env.close()
            atomic.move(fresh / shard.DATA, data)
        except lmdb.Error as error:
            raise faults.explained(folder, error) from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return CompactedShard(folder.name, before, shard.on_disk(data))
