"""Files that appear whole or not at all: written aside, pushed to the disk, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from storage.errors import UserError


def draft_of(path: Path, writer: str = "") -> Path:
    """Where `path` is written first. The ending stays, for it names the format to some writers."""
    return path.with_name(f".part{writer and '-' + writer}.{path.name}")


@contextmanager
def draft(path: Path, alone: bool = False) -> Iterator[Path]:
    """A path beside `path` to write a file or a folder to. At the end it is removed.

    `alone`: no other process writes `path`. Then the draft always has the same name, and one that
    a killed process left is written over. An error of the system names `path`, not the draft.
    """
    # The process's number would not do: containers on one file system may have the same.
    fresh = draft_of(path, "" if alone else uuid4().hex)
    try:
        with naming(path, fresh):
            yield fresh
    finally:
        with suppress(OSError):
            shutil.rmtree(fresh) if fresh.is_dir() else fresh.unlink(missing_ok=True)


@contextmanager
def naming(path: Path, alias: Path | None = None) -> Iterator[None]:
    """An error of the system that names no file, or `alias`, names `path`."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, str(alias), alias):
            raise  # of something that was read meanwhile
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@contextmanager
def replacing(path: Path, alone: bool = False) -> Iterator[Path]:
    """A path to write to, which becomes `path` when the block ends normally."""
    if not path.parent.is_dir():
        raise UserError(f"{path} cannot be written: {path.parent} is not a folder; make it first")
    with draft(path, alone) as fresh:
        yield fresh
        move(fresh, path)


def write_text(path: Path, text: str, errors: str = "strict", alone: bool = False) -> None:
    """`text` in UTF-8, its line ends as they are, as the file `path`."""
    with replacing(path, alone) as fresh:
        fresh.write_text(text, encoding="utf-8", errors=errors, newline="")


def write_bytes(path: Path, data: bytes) -> None:
    """`data` as the file `path`."""
    with replacing(path) as fresh:
        fresh.write_bytes(data)


def move(fresh: Path, path: Path) -> None:
    """Give a written file or folder its name, with its content on the disk before."""
    if fresh.is_dir():
        os.sync()  # one call for all: a video's pictures, one by one, took ten times as long
    else:
        sync(fresh)
    os.replace(fresh, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Push a file, or a folder's list of names, to the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        if not path.is_dir():  # some file systems cannot push a folder
            raise
