"""What a MATLAB file (version 5) unpacks to, found without keeping any of it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from storage.scores.budget import Budget

HEADER = 128
COMPRESSED = 15
PIECE = 1 << 16


def check_mat(path: Path, budget: Budget) -> None:
    """Take from the budget what each element of the file unpacks to.

    The shapes that the file declares are no help: a cell of shape (1, 1) may hold anything.
    """
    with open(path, "rb") as file:
        start = file.read(HEADER)
        order = {b"IM": "<", b"MI": ">"}.get(start[126:128])
        if order is None:  # version 4: never compressed
            budget.take(path.stat().st_size)
            return
        while len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(order + "II", tag)
            if kind == COMPRESSED:
                _count_unpacked(file, size, budget)
            else:
                budget.take(size)
                file.seek(size, 1)


def _count_unpacked(file: BinaryIO, size: int, budget: Budget) -> None:
    unpacker = zlib.decompressobj()
    rest = size
    while rest > 0 and (packed := file.read(min(PIECE, rest))):
        rest -= len(packed)
        while packed:
            budget.take(len(unpacker.decompress(packed, PIECE)))
            packed = unpacker.unconsumed_tail
    file.seek(rest, 1)
