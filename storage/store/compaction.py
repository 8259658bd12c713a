"""Giving back the space that deleted and replaced videos left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import lmdb

from storage import atomic
from storage.store import faults, shard
from storage.store.claim import FRESH, publishing, remove_stale, unclaimed, unopened
from storage.store.environment import create_shard, open_environment
from storage.store.index import Index, Listed
from storage.store.keys import NEXT, NUMBER, entry_content, record_keys, video_key
from storage.store.lines import gone_line, listing_line, shard_line
from storage.store.salvage import BROKEN, rename_new
from storage.store.sealing import is_sealed, seal_folder
from storage.store.settling import adopt, settle, tidy, upgrade
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
    """Write every shard that nobody has open anew, without holes; a sealed one only where videos
    were deleted from it. A store of an older version gets its `index.log` first."""
    store = kind.open(path, "a")
    folder = path / "shards"
    for old in folder.glob(f"{BROKEN}*"):
        shutil.rmtree(old)
    remove_stale(folder)
    index = store.index()
    upgrade(path, store.form, index)
    names = store.shards()
    compacted = [
        (compact_sealed if is_sealed(folder / name) else compact_shard)(folder / name, index)
        for name in names
    ]
    tidy(folder, index)
    store.close()
    return compacted


def compact_shard(folder: Path, index: Index) -> CompactedShard:
    """A shard that is not sealed, under the name that it has."""
    data = folder / shard.DATA
    before = shard.on_disk(data)
    if shard.is_open(folder):
        return CompactedShard(folder.name, before, before, "this process has it open")
    with unclaimed(folder) as free:
        if free:
            part = shard.acquire(folder)
            try:
                settle(folder.parent, index, part)
            finally:
                shard.release(part)
    with unclaimed(folder) as free, unopened(folder) as unread:
        if not free:
            return CompactedShard(folder.name, before, before, "it is being written")
        if not unread:
            return CompactedShard(folder.name, before, before, "another process reads it")
        fresh = folder / f"{FRESH}compact"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        try:
            env = open_environment(folder, write=False, least=0)
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


def compact_sealed(folder: Path, index: Index) -> CompactedShard:
    """A sealed shard is never written: what is left of it goes into a new one."""
    before = shard.on_disk(folder / shard.DATA)
    adopt(folder, index)  # what was not taken away, whatever became of its line
    keep = {entry.number: entry for entry in index.entries(folder.name)}
    part = shard.acquire(folder)
    try:
        with part.reading() as txn:
            if int(txn.stat(part.videos)["entries"]) == len(keep):
                return CompactedShard(folder.name, before, before)
        fresh = folder.parent / f"{FRESH}{uuid4().hex}"
        try:
            create_shard(fresh)
            copy_shown(part, fresh, keep)
            seal_folder(fresh, len(keep))
            with publishing(folder.parent):
                index.refresh()
                if {e.number for e in index.entries(folder.name)} != keep.keys():
                    return CompactedShard(folder.name, before, before, "it was changed meanwhile")
                name = rename_new(fresh, folder.parent) if keep else ""
                lines = [shard_line(name)] if keep else []
                lines += [listing_line(name, n, entry.value) for n, entry in sorted(keep.items())]
                index.append([*lines, gone_line(folder.name)])
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    finally:
        shard.release(part)
    aside = folder.parent / f"{FRESH}{uuid4().hex}"
    os.rename(folder, aside)
    shutil.rmtree(aside)
    after = shard.on_disk(folder.parent / name / shard.DATA) if name else 0
    return CompactedShard(folder.name, before, after)


def copy_shown(part: shard.Shard, fresh: Path, keep: Mapping[int, Listed]) -> None:
    """The videos of these numbers, under their numbers, into a new shard."""
    into = shard.acquire(fresh)
    try:
        for number, listed in keep.items():

            def work(txn: shard.Transaction, number: int = number, listed: Listed = listed) -> None:
                with part.reading() as old:
                    for key in record_keys(old, part.records, number):
                        record = old.get(key, db=part.records)
                        assert record is not None  # its key was read in this transaction
                        txn.put(key, record, db=into.records)
                key = video_key(entry_content(listed.value)["video"])
                txn.put(key, listed.value, db=into.videos)

            into.write(work)

        def finish(txn: shard.Transaction) -> None:
            txn.put(NEXT, NUMBER.pack(max(keep) + 1), db=into.info)

        if keep:
            into.write(finish)
    finally:
        shard.release(into)
