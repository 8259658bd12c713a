"""Coded items of one kind behind one another: what one member of a sample holds.

    u32 n            how many items
    n x (u32, u32)   an item's bytes, the CRC-32 of them
    items

Little-endian. Every item is whole: a JPEG of the store is a JPEG here. (A store's own record keeps
the heads that JPEGs share once. That saves 110 bytes an item, and a stranger could not read it.)
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate
from zlib import crc32

from storage.errors import DamageError

COUNT = struct.Struct("<I")
ROW = struct.Struct("<II")


def pack_items(items: Sequence[bytes]) -> bytes:
    """Any number of items as one member."""
    rows = [ROW.pack(len(item), crc32(item)) for item in items]
    return b"".join([COUNT.pack(len(items)), *rows, *items])


class CodedItems:
    """The items of a member, each checked when it is taken."""

    def __init__(self, data: bytes) -> None:
        try:
            (count,) = COUNT.unpack_from(data)
            start = COUNT.size + ROW.size * count
            self._rows = list(ROW.iter_unpack(memoryview(data)[COUNT.size : start]))
        except struct.error:
            raise DamageError("a sample's member is cut short") from None
        self._starts = list(accumulate((length for length, _ in self._rows), initial=start))
        if len(self._rows) != count or self._starts[-1] != len(data):
            raise DamageError("a sample's member is not as long as it says")
        self._data = data

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> bytes:
        length, checksum = self._rows[index]
        item = self._data[self._starts[index] : self._starts[index] + length]
        if crc32(item) != checksum:
            raise DamageError("a sample's item does not match its checksum")
        return item
