"""failures.json: what could not be extracted and why, kept beside the store's shards."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from storage import atomic

NAME = "failures.json"


@dataclass(frozen=True)
class Failure:
    """One video that is not in the store, or not whole."""

    video: str
    source: str
    """Its path, as text."""
    kind: str
    """A fixed phrase: cannot open, truncated, ... (docs/extract.md)."""
    reason: str
    """The kind and the details, in one line."""
    partial: bool = False
    """What could be decoded is in the store."""


def read_failures(store: str | os.PathLike[str]) -> list[Failure]:
    """The failures on record, or none."""
    try:
        content = json.loads((Path(store) / NAME).read_text(encoding="utf-8"))
        return [Failure(**entry) for entry in content["failures"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        return []  # half a file from a full disk; the next run says it all again


def record_failures(
    store: str | os.PathLike[str], failures: Iterable[Failure], settled: Iterable[str] = ()
) -> None:
    """Add failures, and forget those of the videos in `settled`.

    Several runs may write at once (`--shard`), so the file is read again and replaced under a
    lock. The lock is no part of what is stored: where it does not work, the last run wins.
    """
    folder = Path(store)
    added = {failure.video: failure for failure in failures}
    forget = set(settled)
    if not added and not (folder / NAME).exists():
        return  # a whole store may lie on a medium that cannot be written
    lock = os.open(folder / f".{NAME}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        old = read_failures(folder)
        if not added and not any(entry.video in forget for entry in old):
            return
        merged = {entry.video: entry for entry in old if entry.video not in forget} | added
        rows = [asdict(merged[video]) for video in sorted(merged)]
        text = json.dumps({"failures": rows}, indent=1, ensure_ascii=False) + "\n"
        atomic.write_text(folder / NAME, text)
    finally:
        os.close(lock)
