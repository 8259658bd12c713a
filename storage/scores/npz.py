"""Reading an npz that somebody else made: no pickle, and no more memory than was agreed on."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import UserError
from storage.scores.budget import LIMIT, Budget

MAX_ARRAYS = 1000
LONGEST_HEADER = 1 << 16
"""Bytes of an array's header that are looked at. A version 2.0 header may claim 4 GiB."""
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError)


def npz_names(path: str | Path) -> list[str]:
    """The names of the arrays in an npz, nothing read but the zip's directory."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except BROKEN as error:
        raise UserError(f"{path} is not a readable npz file ({error})") from None


def read_npz(
    path: str | Path, names: Sequence[str] | None = None, limit: int = LIMIT
) -> dict[str, np.ndarray[Any, Any]]:
    """Read the arrays `names` (all, when None; absent ones are left out) of an npz.

    A few kilobytes of zip can unpack to terabytes, and an array's header can ask for any amount
    of memory: both sizes are summed and compared with `limit` before anything is unpacked.
    Arrays of Python objects are refused, since reading one would run what the file says.
    """
    budget = Budget(path, limit)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if len(members) > MAX_ARRAYS:
                raise UserError(
                    f"{path} holds {len(members)} arrays; at most {MAX_ARRAYS} are read"
                )
            wanted = {n: members[n] for n in (members if names is None else names) if n in members}
            for name, info in wanted.items():
                budget.take(info.file_size)
                _check_header(archive, info, path, name)
            arrays = {}
            for name, info in wanted.items():
                with archive.open(info) as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
            return arrays
    except UserError:
        raise
    except BROKEN as error:
        raise UserError(f"{path} is not a readable npz file ({error})") from None


def _check_header(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str | Path, name: str
) -> None:
    """Refuse an array whose header asks for more than the file holds, or for a pickle."""
    with archive.open(info) as file:
        start = io.BytesIO(file.read(LONGEST_HEADER))
    version = np.lib.format.read_magic(start)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise UserError(f"{path}: array {name!r} has npy version {version}, not 1.0 or 2.0")
    shape, _, dtype = read_header(start)
    if dtype.hasobject:
        raise UserError(
            f"{path}: array {name!r} holds pickled Python objects, which can run any code; "
            "save strings as numpy strings (np.array([...], dtype=str)) instead"
        )
    size = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > info.file_size:
        raise UserError(
            f"{path}: array {name!r} says it is {shape} {dtype}, {size} bytes, but the file "
            f"holds only {info.file_size}; it is damaged"
        )
