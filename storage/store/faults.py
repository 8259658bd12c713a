"""What is wrong with a shard, in words that help: damage, or the machine it lies on."""

from __future__ import annotations

import errno
import mmap
import os
import struct
from pathlib import Path

import lmdb

from storage.errors import DamageError, StoreError

DATA = "data.mdb"
MAGIC = 0xBEEFC0DE
PAGE_SIZE = struct.Struct("=16xI20xI")
"""In the first page: LMDB's magic number, and the size of a page."""
DAMAGE = (
    *(lmdb.BadChecksumError, lmdb.CorruptedError, lmdb.IncompatibleError),
    *(lmdb.InvalidError, lmdb.PageNotFoundError),
)
"""What LMDB raises because of the content of the file."""
FILES = (
    "this process, or the machine, has too many open files; allow more (ulimit -n), or open fewer "
    "stores at once"
)
FULL = "the disk is full; what was stored is safe: free space, go on"
LIMITED = "files may not grow further (ulimit -f); what was stored is safe"


def page_size(head: bytes | mmap.mmap) -> int:
    """Bytes of a page, as a data file's first page says: that of the machine that made the file.
    This machine's own where the page says nothing that can be."""
    if len(head) >= PAGE_SIZE.size:
        magic, size = PAGE_SIZE.unpack_from(head)
        if magic == MAGIC and 512 <= size <= 65536 and size & (size - 1) == 0:
            return int(size)
    return mmap.PAGESIZE


def check_length(folder: Path) -> int:
    """Bytes of the data file. An error if not even its first two pages are there."""
    try:
        with open(folder / DATA, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            least = 2 * page_size(file.read(PAGE_SIZE.size))
    except OSError as error:
        raise refused(folder / DATA, error, "opened") from None
    if size < least:
        raise truncated(folder, size, least)
    return size


def truncated(folder: Path, size: int, needed: int) -> StoreError:
    return DamageError(
        f"{folder / DATA} is truncated: {size} bytes are left of {needed}; "
        f"`twostream verify {folder.parent.parent} --repair` drops what is lost"
    )


def refused(path: Path, error: OSError, what: str) -> StoreError:
    """An error of the system in words that help. `what` cannot be done: opened, ..."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return StoreError(f"{path} cannot be opened: {FILES}")
    return StoreError(f"{path} cannot be {what}: {error.strerror}")


def unwritten(path: Path, error: OSError) -> StoreError:
    """An error of the system while a plain file was written, in words that help."""
    if error.errno == errno.ENOSPC:
        return StoreError(f"{path}: {FULL}")
    if error.errno == errno.EFBIG:
        return StoreError(f"{path}: {LIMITED}")
    return refused(path, error, "written")


def explained(
    folder: Path, error: lmdb.Error, writing: bool = False, opening: bool = False
) -> StoreError:
    """An LMDB error in words that help. Only what a page says is called damage."""
    text = str(error)
    if isinstance(error, DAMAGE) or (opening and isinstance(error, lmdb.NotFoundError)):
        return DamageError(
            f"{folder} is damaged ({text}); `twostream verify {folder.parent.parent} --repair`"
        )
    if "No space left" in text:
        return StoreError(f"{folder}: {FULL}")
    if "File too large" in text:
        return StoreError(f"{folder}: {LIMITED}")
    if isinstance(error, lmdb.ReadonlyError) or "Read-only" in text or "denied" in text:
        return StoreError(f"{folder} cannot be written: {text}")
    if writing and "Input/output" in text:  # LMDB's word for a write that was cut short
        return StoreError(
            f"{folder} cannot be written: the disk is full, limited (ulimit -f) or failing; "
            "what was stored is safe"
        )
    if "Too many open files" in text:
        return StoreError(f"{folder} cannot be opened: {FILES}")
    if isinstance(error, lmdb.MemoryError) or "Cannot allocate" in text:
        return StoreError(
            f"{folder} cannot be mapped: no room is left among this process's addresses; allow "
            "more (ulimit -v) or end other programs"
        )
    if isinstance(error, lmdb.VersionMismatchError):
        return StoreError(f"{folder} was written by another version of LMDB ({text})")
    return StoreError(f"{folder} cannot be used now ({text}); nothing says that it is damaged")
