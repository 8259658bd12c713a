"""A few neighbouring items in one record, each of them readable, and checked, alone.

Records over 2 KB take whole pages of 4 KB in LMDB. One item a record would waste a third of the
space. The JPEGs of one size and quality begin with the same 110 bytes. This head is kept once.
A chunk is, little-endian,

    u16 n, u16 h         numbers of items and of heads
    n x (u32, u32, u16)  an item's length without its head, the CRC-32 of all of it, its head
    h x u32              lengths of the heads
    heads, items         one behind the other
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from zlib import crc32

from storage.codecs import head_length
from storage.errors import StoreError

HEAD = struct.Struct("<HH")
ITEM = struct.Struct("<IIH")
LENGTH = struct.Struct("<I")


def pack(items: Sequence[bytes]) -> bytes:
    """1 to 65535 items -> one record."""
    heads: dict[bytes, int] = {}
    table, bodies = [], []
    for item in items:
        cut = head_length(item)
        head = heads.setdefault(item[:cut], len(heads))
        table.append(ITEM.pack(len(item) - cut, crc32(item), head))
        bodies.append(item[cut:])
    lengths = [LENGTH.pack(len(head)) for head in heads]
    return b"".join([HEAD.pack(len(items), len(heads)), *table, *lengths, *heads, *bodies])


def runs(indices: Sequence[int], per_chunk: int) -> Iterator[tuple[int, int, int]]:
    """(chunk, first, stop) of items by number: neighbours in one chunk are taken together."""
    at = 0
    while at < len(indices):
        number, first = divmod(indices[at], per_chunk)
        stop = at + 1
        while (
            stop < len(indices)
            and indices[stop] == indices[stop - 1] + 1
            and indices[stop] // per_chunk == number
        ):
            stop += 1
        yield number, first, first + stop - at
        at = stop


def about(size: int, items: int, first: int, stop: int) -> tuple[int, int]:
    """About where items `first` to `stop` lie in a record of `size` bytes: from, to."""
    table = HEAD.size + (ITEM.size + LENGTH.size) * items
    an_item = max(size - table, 0) / max(items, 1)
    return table + int(first * an_item), table + int(stop * an_item)


def unpack(record: bytes | memoryview, first: int, stop: int) -> list[bytes]:
    """Items `first` to `stop` (not included) of a record, each one checked."""
    view = memoryview(record)
    return unpack_by(lambda start, length: view[start : start + length], first, stop)


def unpack_by(
    read: Callable[[int, int], bytes | memoryview], first: int, stop: int, least: int = 0
) -> list[bytes]:
    """The same of a record that lies elsewhere: `read(start, length)` gives bytes of it, fewer at
    its end. At least `least` bytes of its beginning are read at once."""
    try:
        view = memoryview(read(0, max(least, HEAD.size)))
        items, head_count = HEAD.unpack_from(view)
        if not 0 <= first <= stop <= items:
            raise StoreError(f"a record of {items} items was asked for items {first} to {stop}")
        at = HEAD.size + ITEM.size * items
        start = at + LENGTH.size * head_count
        if len(view) < start:
            view = memoryview(read(0, start))
        if len(view) < start:
            raise StoreError("a record is cut short")
        table = list(ITEM.iter_unpack(view[HEAD.size : at]))
        lengths = [length for (length,) in LENGTH.iter_unpack(view[at:start])]
        above = start + sum(lengths)
        if len(view) < above:
            view = memoryview(read(0, above))
        heads = []
        for length in lengths:
            heads.append(bytes(view[start : start + length]))
            start += length
        start += sum(length for length, _, _ in table[:first])
        size = sum(length for length, _, _ in table[first:stop])
        if start + size > len(view):
            view, start = memoryview(read(start, size)), 0
        wanted = []
        for length, checksum, head in table[first:stop]:
            item = heads[head] + view[start : start + length]
            if crc32(item) != checksum:
                raise StoreError("a record does not match its checksum")
            wanted.append(item)
            start += length
    except (struct.error, IndexError):
        raise StoreError("a record is cut short") from None
    return wanted


def checksums(record: bytes | memoryview) -> bytes:
    """The CRC-32 of each item, u32, one behind the other."""
    table = memoryview(record)[HEAD.size : HEAD.size + ITEM.size * count(record)]
    return b"".join(LENGTH.pack(checksum) for _, checksum, _ in ITEM.iter_unpack(table))


def count(record: bytes | memoryview) -> int:
    """How many items a record holds."""
    try:
        return int(HEAD.unpack_from(record)[0])
    except struct.error:
        raise StoreError("a record is cut short") from None
