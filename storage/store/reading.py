"""Coded items out of a shard: through the map of its file, or by offset from the disk.

In memory, LMDB's map is the quicker way. But where a page is not in memory, the map is a trip to
the disk for every 4 KB, and Python's binding for LMDB takes it for every page of a record, wanted
or not. By offset (`tree`) the pages that are wanted are asked for at once. Each store looks which
of the two its last reads would have needed.
"""

from __future__ import annotations

import resource
from collections.abc import Sequence
from typing import Any

from storage.store import chunk
from storage.store.keys import Entry, record_key
from storage.store.shard import Shard, Transaction
from storage.store.tree import Record

CALM = 64
"""Reads without the disk after which it is taken to be out of the way."""
_WHO = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)


class Reader:
    """Remembers whether the last reads needed the disk. At first they do."""

    def __init__(self) -> None:
        self._calm = 0

    def items(
        self, part: Shard, txn: Transaction, entry: Entry[Any], kind: str, indices: Sequence[int]
    ) -> list[bytes]:
        """Items of one kind, checked; fewer where a record is missing."""
        before = resource.getrusage(_WHO).ru_inblock
        way = by_offset if self._calm < CALM else by_map
        items = way(part, txn, entry, kind, indices)
        fetched = resource.getrusage(_WHO).ru_inblock - before
        self._calm = 0 if fetched else self._calm + 1
        return items


def by_map(
    part: Shard, txn: Transaction, entry: Entry[Any], kind: str, indices: Sequence[int]
) -> list[bytes]:
    items: list[bytes] = []
    for number, first, stop in chunk.runs(indices, entry.per_chunk[kind]):
        record = txn.get(record_key(entry.number, kind, number), db=part.records)
        if record is None:
            break
        items += chunk.unpack(record, first, stop)
    return items


def by_offset(
    part: Shard, txn: Transaction, entry: Entry[Any], kind: str, indices: Sequence[int]
) -> list[bytes]:
    per_chunk, total = entry.per_chunk[kind], entry.meta.items(kind)
    wanted: list[tuple[Record, int, int]] = []
    for number, first, stop in chunk.runs(indices, per_chunk):
        record = part.record(record_key(entry.number, kind, number), txn)
        if record is None:
            break
        held = min(per_chunk, total - number * per_chunk)
        record.ask(*chunk.about(record.size, held, first, stop), head=bool(wanted))
        wanted.append((record, first, stop))
    items: list[bytes] = []
    for record, first, stop in wanted:
        items += chunk.unpack_by(record.read, first, stop, record.in_first_page)
    return items
