"""Getting whole videos out of a shard that LMDB cannot open: truncated, or with damaged pages.

The file is searched page by page for leaves of its trees. Index entries and items carry checksums,
so what is found is either right or not used. What was deleted shortly before may come back.
The layout of the pages is that of LMDB 0.9 on 64-bit machines.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import struct
from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from storage import atomic
from storage.errors import StoreError
from storage.store import chunk, faults, shard
from storage.store.claim import FRESH, next_name, publishing
from storage.store.environment import create_shard, shard_names
from storage.store.keys import (
    KINDS,
    RECORD,
    Entry,
    expected_records,
    json_value,
    parse_entry,
)
from storage.store.lines import gone_line, listing_line, shard_line
from storage.store.settling import stored_entries
from storage.store.sharded import ShardedStore
from storage.store.tree import LARGE, LEAF, NODE, OVERFLOW, PAGE
from storage.store.writer import RecordWriter

BROKEN = ".broken-"
"""A shard that was given up is kept under a name that begins so, until `compact`."""


def replace_shard(folder: Path, store: ShardedStore[Any, Any], known: Collection[str]) -> list[str]:
    """Copy every whole video that is not `known` out of a broken shard into a new one, and then
    put the broken one aside. Returns their ids. Nobody else may have the broken one open."""
    shards = folder.parent
    fresh = shards / f"{FRESH}{uuid4().hex}"
    create_shard(fresh)
    copies: dict[str, Any] = {}
    name = ""
    try:
        part = shard.acquire(fresh)
        try:
            videos = salvage(folder, part, store, known)
            with part.reading() as txn:
                copies = stored_entries(txn, part)
        finally:
            shard.release(part)
        if videos:  # there beside the broken one first: a kill in between must lose nothing
            name = rename_new(fresh, shards)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    aside = (shards / f"{BROKEN}{folder.name}{'-' * bool(n)}{n or ''}" for n in count())
    if folder.is_dir():
        os.rename(folder, next(path for path in aside if not path.exists()))
        atomic.sync(shards)
    with publishing(shards):
        index = store.index()
        if index.exists:
            lines = [gone_line(folder.name)] if index.speaks_of(folder.name) else []
            lines += [shard_line(name)] if name else []
            lines += [
                listing_line(name, entry["number"], json_value(entry)) for entry in copies.values()
            ]
            if lines:
                index.append(lines)
    return videos


def rename_new(fresh: Path, shards: Path) -> str:
    """Give a shard the next name, though others may take names at the same time."""
    while True:
        try:
            name = next_name(shard_names(shards))
            os.rename(fresh, shards / name)
            atomic.sync(shards)
            return name
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def salvage(
    folder: Path, into: shard.Shard, store: ShardedStore[Any, Any], known: Collection[str]
) -> list[str]:
    """Copy every whole video of a broken shard that is not `known`. Returns their ids."""
    entries: dict[str, Entry[Any]] = {}
    index = store.index()
    shown = index.speaks_of(folder.name)
    for listed in index.entries(folder.name) if shown else ():
        entry = parse_entry(listed.value, store.meta_type)
        entries[entry.meta.video] = entry
    if not folder.is_dir():
        return []
    positions: dict[bytes, list[tuple[int, int]]] = {}
    with open(folder / faults.DATA, "rb") as file:
        if file.seek(0, 2) == 0:
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for key, start, length in leaves(data):
                if len(key) == RECORD.size and key[8:9] in KINDS.values():
                    positions.setdefault(key, []).append((start, length))
                    continue
                if shown:
                    continue  # the index knows them, and what was taken away
                try:
                    entry = parse_entry(data[start : start + length], store.meta_type)
                except (StoreError, ValueError, KeyError, TypeError):
                    continue
                before = entries.get(entry.meta.video)
                if before is None or before.number < entry.number:
                    entries[entry.meta.video] = entry
            return [
                video
                for video, entry in sorted(entries.items())
                if video not in known
                and copy(data, entry, positions, store.writer_into(video, into))
            ]


def leaves(data: mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    """Key, start and length of the value of every node on every page that looks like a leaf."""
    size = faults.page_size(data)
    for number in range(len(data) // size):
        base = number * size
        own_number, _, flags, end, _ = PAGE.unpack_from(data, base)
        if own_number != number or flags & ~0x10 != LEAF or not PAGE.size <= end <= size:
            continue
        for (offset,) in struct.iter_unpack("=H", data[base + PAGE.size : base + end - end % 2]):
            if not PAGE.size <= offset <= size - NODE.size:
                continue
            low, high, node_flags, key_length = NODE.unpack_from(data, base + offset)
            length = low | high << 16
            start = base + offset + NODE.size + key_length
            key = data[base + offset + NODE.size : start]
            if node_flags & LARGE and start + 8 <= len(data):
                (page,) = struct.unpack_from("=Q", data, start)
                start = page * size + OVERFLOW.size
            if start + length <= len(data):
                yield key, start, length


def copy(
    data: mmap.mmap,
    entry: Entry[Any],
    positions: dict[bytes, list[tuple[int, int]]],
    writer: RecordWriter,
) -> bool:
    """Store a video again if all of it can be read."""
    records: list[tuple[str, list[bytes]]] = []
    for kind, key, number in expected_records(entry):
        for start, length in positions.get(key, []):
            try:
                records.append((kind, chunk.unpack(data[start : start + length], 0, number)))
                break
            except StoreError:
                continue
        else:
            return False
    writer.again(entry.meta, records)
    writer.publish()
    return True
