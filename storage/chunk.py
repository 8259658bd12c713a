"""A few neighbouring items in one record, each of them readable, and checked, alone.

Records over 2 KB take whole pages of 4 KB in LMDB, so one item a record would waste a third of
the space; and JPEGs of one size and quality begin with the same 300 bytes. A chunk is

    u16 n, u16 p       little-endian: items, and the length of the shared beginning
    n x (u32, u32)     length of the item's own part, and the CRC-32 of the whole item
    p bytes            the shared beginning
    ...                the items' own parts, one behind the other
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from zlib import crc32

from storage.errors import StoreError

HEAD = struct.Struct("<HH")
ITEM = struct.Struct("<II")
LONGEST_SHARED = 0xFFFF


def pack(items: Sequence[bytes]) -> bytes:
    """1 to 65535 items -> one record."""
    cut = shared_length(items)
    shared = items[0][:cut]
    table = b"".join(ITEM.pack(len(item) - cut, crc32(item)) for item in items)
    return b"".join([HEAD.pack(len(items), cut), table, shared, *(item[cut:] for item in items)])


def shared_length(items: Sequence[bytes]) -> int:
    """How many bytes all items begin with; 0 where sharing would save nothing."""
    if len(items) < 2:
        return 0
    low, high = min(items), max(items)  # what these two share, all share
    length = min(len(low), LONGEST_SHARED)
    return next((at for at in range(length) if low[at] != high[at]), length)


def unpack(record: bytes | memoryview, first: int, stop: int) -> list[bytes]:
    """Items `first` to `stop` (not included) of a record, each one checked."""
    view = memoryview(record)
    try:
        count, cut = HEAD.unpack_from(view)
        if not 0 <= first <= stop <= count:
            raise StoreError(f"a record of {count} items was asked for items {first} to {stop}")
        table = list(ITEM.iter_unpack(view[HEAD.size : HEAD.size + ITEM.size * count]))
        start = HEAD.size + ITEM.size * count
    except struct.error:
        raise StoreError("a record is cut short") from None
    shared = bytes(view[start : start + cut])
    at = start + cut + sum(length for length, _ in table[:first])
    items = []
    for length, checksum in table[first:stop]:
        item = shared + view[at : at + length]
        if crc32(item) != checksum:
            raise StoreError("a record does not match its checksum")
        items.append(item)
        at += length
    return items


def count(record: bytes | memoryview) -> int:
    """How many items a record holds."""
    return int(HEAD.unpack_from(record)[0])
