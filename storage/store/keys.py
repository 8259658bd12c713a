"""The keys and values inside a shard."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar
from zlib import crc32

import lmdb

from storage.errors import StoreError, UserError

NEXT = b"next"
"""In `info`: the number of the next video, u64."""
PENDING = b"pending:"
"""In `info`: with a video's number behind it, while its records are written."""
KINDS = {
    "frames": b"F",
    "forward": b"f",
    "backward": b"b",
    "warped": b"w",
    "features": b"v",
    "moments": b"m",
}
PER_CHUNK = {"frames": 8, "forward": 16, "backward": 16, "warped": 16}
"""Items in a chunk. The last one of a video may hold fewer."""
LONGEST = 500
"""Bytes of an id that are a key as they are. LMDB's own limit is 511."""
NUMBER = struct.Struct(">Q")
RECORD = struct.Struct(">QcI")


class StoredMeta(Protocol):
    """What is known of a video: a frozen dataclass of JSON values."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    COUNTED: ClassVar[tuple[str, ...]]
    """Fields that are added up over a store."""

    @property
    def video(self) -> str:
        """Its id."""

    @property
    def size(self) -> int:
        """Bytes that its records take in the store."""

    def items(self, kind: str) -> int:
        """How many items of a kind it has."""

    def to_json(self) -> dict[str, Any]:
        """Its fields."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Of the fields, without those that are not known."""


M = TypeVar("M", bound=StoredMeta)


class Entry(NamedTuple, Generic[M]):
    """A video as the index has it."""

    number: int
    meta: M
    per_chunk: dict[str, int]


def check_id(video: object) -> str:
    """A video's id is any text. It is a key and never becomes a path."""
    if not isinstance(video, str) or not video or "\0" in video:
        raise UserError(f"video id {video!r} is not a text of one or more characters without NUL")
    return video


def video_key(video: str) -> bytes:
    key = video.encode("utf-8", "surrogatepass")
    # no UTF-8 begins with FF, so a hashed key meets no other
    return key if len(key) <= LONGEST else b"\xff" + hashlib.sha256(key).digest()


def record_key(number: int, kind: str, chunk: int) -> bytes:
    return RECORD.pack(number, KINDS[kind], chunk)


def entry_value(entry: Entry[Any]) -> bytes:
    content = {"number": entry.number, "per_chunk": entry.per_chunk, **entry.meta.to_json()}
    text = json.dumps(content, separators=(",", ":")).encode()
    return struct.pack("<I", crc32(text)) + text


def parse_entry(value: bytes | memoryview, meta_type: type[M]) -> Entry[M]:
    content = entry_content(value)
    return Entry(content["number"], meta_type.from_json(content), content["per_chunk"])


def entry_number(value: bytes | memoryview) -> int:
    return int(entry_content(value)["number"])


def entry_content(value: bytes | memoryview) -> dict[str, Any]:
    text = bytes(value[4:])
    if len(value) < 5 or crc32(text) != struct.unpack_from("<I", value)[0]:
        raise StoreError("an index entry does not match its checksum")
    content: dict[str, Any] = json.loads(text)
    return content


def expected_records(entry: Entry[Any]) -> Iterator[tuple[str, bytes, int]]:
    """Kind, key and number of items of every record that a video must have."""
    for kind, per_chunk in entry.per_chunk.items():
        total = entry.meta.items(kind)
        for chunk, first in enumerate(range(0, total, per_chunk)):
            yield kind, record_key(entry.number, kind, chunk), min(per_chunk, total - first)


def record_keys(txn: lmdb.Transaction, records: lmdb._Database, number: int) -> Iterator[bytes]:
    """The keys of all records of a video."""
    with txn.cursor(records) as cursor:
        more = cursor.set_range(NUMBER.pack(number))
        while more:
            key = bytes(cursor.key())
            if key[:8] != NUMBER.pack(number):
                return
            yield key
            more = cursor.next()
