"""How many bytes a file from outside may unpack to, counted before they are unpacked."""

from __future__ import annotations

from pathlib import Path

from storage.errors import UserError

LIMIT = 2 << 30
"""Bytes that the arrays of one file may take together, unless the caller allows more."""


class Budget:
    """The bytes that a file may still take."""

    def __init__(self, path: str | Path, most: int = LIMIT) -> None:
        self.path = path
        self.most = most
        self.rest = most

    def take(self, size: int) -> None:
        """Count `size` bytes, or refuse the file."""
        self.rest -= size
        if self.rest < 0:
            raise UserError(
                f"{self.path} would unpack to more than {self.most / 2**30:.3g} GiB; if that is "
                "meant, allow more with --max-gib (max_bytes= in Python)"
            )
