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
CHECKSUM = struct.Struct("<I")


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
    content: str = ""
    """Fingerprint of the coded items (`content_of`); empty in what older versions wrote."""


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
    content = {"number": entry.number, "per_chunk": entry.per_chunk, "content": entry.content}
    return json_value(content | entry.meta.to_json())


def json_value(content: Mapping[str, Any]) -> bytes:
    """An entry's JSON as it is stored: ASCII on one line, the id first."""
    ordered = {"video": content["video"], **content}
    return content_value(json.dumps(ordered, separators=(",", ":")).encode())


def content_value(text: bytes) -> bytes:
    return CHECKSUM.pack(crc32(text)) + text


def content_of(checksums: Mapping[str, bytes]) -> str:
    """Fingerprint of a video's coded items: kind -> the CRC-32 of each, u32, one behind the other.

    It does not depend on chunks, numbers and what is known of the video.
    """
    digest = hashlib.sha256()
    for letter, sums in sorted((KINDS[kind], sums) for kind, sums in checksums.items() if sums):
        digest.update(letter + NUMBER.pack(len(sums) // CHECKSUM.size) + sums)
    return digest.hexdigest()[:32]


def parse_entry(value: bytes | memoryview, meta_type: type[M]) -> Entry[M]:
    content = entry_content(value)
    fingerprint = content.get("content", "")
    return Entry(content["number"], meta_type.from_json(content), content["per_chunk"], fingerprint)


def entry_number(value: bytes | memoryview) -> int:
    return int(entry_content(value)["number"])


def entry_content(value: bytes | memoryview) -> dict[str, Any]:
    text = bytes(value[4:])
    if len(value) < 5 or crc32(text) != CHECKSUM.unpack_from(value)[0]:
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
