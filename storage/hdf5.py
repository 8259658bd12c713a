"""HDF5 files from strangers: what is in the file itself, and nothing that it points to.

A link, the storage of a data set, or a virtual data set can name any other file that the user may
read. So a data set is taken only if a hard link or an object reference leads to it, and its bytes
lie in the file. What it would unpack to is counted before it is unpacked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import UserError

if TYPE_CHECKING:
    import h5py

FAULTS = (OSError, KeyError, RuntimeError, TypeError, ValueError)
"""What h5py raises on files that are damaged."""


class Hdf5File:
    """An HDF5 file, opened to read its top level."""

    def __init__(self, path: Path, take: Callable[[int], None]) -> None:
        """`take` is told the bytes of each data set before it is read, and may refuse them."""
        import h5py

        self.path = path
        self.take = take
        with self.faults():
            self.file = h5py.File(path, "r")

    @contextmanager
    def faults(self) -> Iterator[None]:
        """A damaged file is the user's mistake."""
        try:
            yield
        except UserError:
            raise
        except FAULTS as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{self.path} is not a readable HDF5 file ({reason})") from None

    def names(self) -> list[str]:
        """The names of hard links. Soft and external links are passed over."""
        import h5py

        with self.faults():
            return [
                name
                for name in self.file
                if type(self.file.get(name, getlink=True)) is h5py.HardLink
            ]

    def dataset(self, target: str | h5py.Reference) -> h5py.Dataset | None:
        """A data set by its name at the top level, or by reference. None if it is something else,
        or is stored elsewhere. Its size has been counted."""
        import h5py

        if isinstance(target, str):
            link = self.file.get(target, getlink=True) if "/" not in target else None
            if type(link) is not h5py.HardLink:
                return None
        found = self.file[target]
        if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
            return None
        if found.shape is None:
            return None
        self.take(found.dtype.itemsize * max(prod(found.shape), prod(found.chunks or (0,))))
        return found

    def close(self) -> None:
        self.file.close()
