"""Shards that are full are sealed: never written again, so safe to copy, link, fetch and cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage import atomic
from storage.errors import DamageError, StoreError
from storage.store import faults, shard
from storage.store.claim import unclaimed
from storage.store.shard import DATA, SEALED

SHARD_BYTES = 1 << 30
"""A shard of this size takes no further video."""
VERSION = 1


def is_sealed(folder: Path) -> bool:
    return (folder / SEALED).exists()


def is_full(part: shard.Shard) -> bool:
    """Whether it takes no further video. One that holds none takes any."""
    try:
        size = (part.folder / DATA).stat().st_size
    except OSError as error:
        raise faults.refused(part.folder, error, "read") from None
    return size >= SHARD_BYTES and held(part) > 0


def held(part: shard.Shard) -> int:
    """Videos in a shard, shown or not."""
    with part.reading() as txn:
        return int(txn.stat(part.videos)["entries"])


def seal(part: shard.Shard) -> None:
    """Seal a shard that this process has claimed, and in which nothing is in hand."""
    videos = held(part)
    part.close()
    seal_folder(part.folder, videos)


def seal_folder(folder: Path, videos: int) -> None:
    """Say what is in a shard's files, for ever. Nobody may have it open to write."""
    try:
        atomic.sync(folder / DATA)
        content = {"sealed": VERSION, "videos": videos, "files": {DATA: identity(folder / DATA)}}
        atomic.write_text(folder / SEALED, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise faults.unwritten(folder / SEALED, error) from None


def identity(path: Path) -> dict[str, Any]:
    """Bytes and SHA-256 of a file."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}


def check_seal(folder: Path) -> None:
    """An error if a sealed shard's file is not what its seal says."""
    try:
        content = json.loads((folder / SEALED).read_text(encoding="utf-8"))
        expected = content["files"][DATA]
        version = content["sealed"]
    except (ValueError, KeyError, TypeError):
        raise DamageError(f"{folder / SEALED} is damaged") from None
    except OSError as error:
        raise faults.refused(folder / SEALED, error, "read") from None
    if version != VERSION:
        raise StoreError(f"{folder} was sealed by another version of this program ({version!r})")
    try:
        actual = identity(folder / DATA)
    except OSError as error:
        raise faults.refused(folder / DATA, error, "read") from None
    if actual != expected:
        what = "is truncated" if actual["bytes"] < expected["bytes"] else "was changed"
        raise DamageError(
            f"{folder / DATA} {what} since it was sealed: {actual['bytes']} bytes, sha256 "
            f"{actual['sha256'][:12]}, instead of {expected['bytes']}, {expected['sha256'][:12]}"
        )


@contextmanager
def quiet_shard(folder: Path) -> Iterator[bool]:
    """Whether no process writes the shard in `folder`; if so, none begins to inside the block."""
    if is_sealed(folder) or not folder.is_dir():
        yield True
        return
    with unclaimed(folder) as free:
        yield free
