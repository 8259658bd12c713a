"""Checkpoints: written whole or not at all, read without running anything that is in them."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import IO, Any, cast

import torch

from storage import atomic
from storage.errors import UserError

FORMAT = 1


def save(path: Path, state: dict[str, Any]) -> None:
    """A reader sees the old file or the new one, whole."""
    with atomic.replacing(path, alone=True) as draft, draft.open("wb", buffering=0) as file:
        target = DiskFile(file)
        try:
            torch.save({"format": FORMAT, **state}, cast(IO[bytes], target))
        except RuntimeError:
            if target.error is not None:
                raise target.error from None
            raise


class DiskFile(io.RawIOBase):
    """Where torch writes. It turns an error of the file's into a RuntimeError that no longer says
    what it was; here it is kept."""

    def __init__(self, file: io.RawIOBase) -> None:
        self.file = file
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """All of it."""
        rest = memoryview(data)
        size = rest.nbytes
        try:
            while len(rest):
                rest = rest[self.file.write(rest) or 0 :]
        except OSError as error:
            self.error = error
            raise
        return size


def load(path: Path) -> dict[str, Any]:
    """What `save` wrote, on the CPU."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; train the run first")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} is damaged or no checkpoint ({reason}); delete it, or start anew with "
            "--restart"
        ) from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{path} is not a checkpoint of this version of twostream")
    return state
