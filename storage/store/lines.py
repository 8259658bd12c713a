"""The lines of `index.log`, as docs/store.md has their grammar."""

from __future__ import annotations

import json
from collections.abc import Iterable
from zlib import crc32

HEADER = "index 1"
"""The first line."""


def listing_line(shard: str, number: int, value: bytes) -> str:
    """Shows a video: `value` is its entry in the shard."""
    return f"+ {shard} {number} {value[4:].decode('ascii')}"


def dropping_line(shard: str, number: int, video: str) -> str:
    """Takes a video away, or says that this copy of it never counts."""
    return f"- {shard} {number} {json.dumps(video)}"


def shard_line(shard: str) -> str:
    """From here on the file says what that shard shows."""
    return f"shard {shard}"


def gone_line(shard: str) -> str:
    """That shard is no part of the store any more."""
    return f"gone {shard}"


def coded(lines: Iterable[str]) -> bytes:
    """Lines as they stand in the file, each behind its checksum."""
    return b"".join(b"%08x %s\n" % (crc32(text), text) for text in map(str.encode, lines))
