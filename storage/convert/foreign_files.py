"""Folders and zip archives read alike, without trusting what they say about themselves."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from storage.codecs import decode_file, picture_size
from storage.errors import UserError

MAX_FILE = 64 << 20
"""Bytes of one picture: a zip member that unpacks to more is refused unread."""
MAX_PIXELS = 100_000_000
MAX_MEMBERS = 2_000_000


class Files(Protocol):
    """A folder or an archive: names of files with `/` between their parts, and their bytes."""

    def names(self) -> Iterator[str]: ...

    def read(self, name: str) -> bytes: ...

    def close(self) -> None: ...


class Folder:
    """The files right in one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def close(self) -> None:
        pass

    def names(self) -> Iterator[str]:
        with os.scandir(self.path) as entries:
            yield from sorted(
                entry.name
                for entry in entries
                if entry.is_file() and not entry.name.startswith(".")
            )

    def read(self, name: str) -> bytes:
        path = self.path / name
        if path.stat().st_size > MAX_FILE:
            raise UserError(f"{name} has {path.stat().st_size:,} bytes; no picture is that large")
        return path.read_bytes()


class OneFile(Folder):
    """A file that is a whole video."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.parent)
        self.name = path.name

    def names(self) -> Iterator[str]:
        yield self.name


class Archive:
    """A zip. Nothing is unpacked to disk, and no member may unpack to more than `MAX_FILE`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise UserError(f"{path.name} is no readable zip ({error})") from error
        members = self._zip.infolist()
        if len(members) > MAX_MEMBERS:
            raise UserError(f"{path.name} lists {len(members):,} members; it is not read")
        for member in members:
            parts = PurePosixPath(member.filename.replace("\\", "/"))
            if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0:1]:
                raise UserError(
                    f"{path.name} holds the path {member.filename!r}, which leads out of the "
                    "archive; it is not read"
                )

    def names(self) -> Iterator[str]:
        yield from sorted(m.filename for m in self._zip.infolist() if not m.is_dir())

    def read(self, name: str) -> bytes:
        try:
            with self._zip.open(name) as file:
                data = file.read(MAX_FILE + 1)  # what the header says of the size may be a lie
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as err:
            raise UserError(f"{name} in {self.path.name} cannot be unpacked ({err})") from err
        if len(data) > MAX_FILE:
            raise UserError(f"{name} in {self.path.name} unpacks to more than {MAX_FILE:,} bytes")
        return data

    def close(self) -> None:
        self._zip.close()


def decode_picture(data: bytes, name: str, *, color: bool) -> NDArray[np.uint8]:
    """JPEG or PNG bytes -> uint8 (H, W) grey, or (H, W, 3) RGB. UserError names the file."""
    try:
        height, width = picture_size(data)
    except ValueError as error:
        raise UserError(f"{name} is not a picture that can be read ({error})") from error
    if height * width > MAX_PIXELS:
        raise UserError(f"{name} says it has {width}x{height} pixels; it is not read")
    if data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data.rstrip(b"\0")[-64:]:
        raise UserError(f"{name} breaks off: its JPEG data has no end")
    try:
        return decode_file(data, grey=not color)
    except ValueError as error:
        raise UserError(f"{name} cannot be decoded ({error})") from error
