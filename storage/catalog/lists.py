"""Lines of a label list, whatever wrote them: LF or CRLF, a BOM, blank lines at the end."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from storage.errors import UserError


def lines(path: Path) -> list[tuple[int, str]]:
    """(line number from 1, stripped text) of each line that is not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8: {error.reason}") from None
    rows = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in rows if line]


class ClassList(NamedTuple):
    """A list of classes, in the order of its numbers."""

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    """Empty unless each line has one."""


def read_class_list(path: Path, numbered: bool = False) -> ClassList:
    """`Archery` or `3 Archery` a line. A number belongs to a name unless each line has one.

    `numbered`: refuse a line that has none.
    """
    listed = [line for _, line in lines(path)]
    cells = [line.split(maxsplit=1) for line in listed]
    bare = [at for at, row in enumerate(cells) if len(row) < 2 or not row[0].isdecimal()]
    numbers: tuple[int, ...] = ()
    if not bare:
        rows = sorted((int(number), name) for number, name in cells)
        numbers, listed = tuple(n for n, _ in rows), [name for _, name in rows]
    elif numbered:
        number, line = lines(path)[bare[0]]
        raise UserError(f"{path}:{number}: {line!r} is not `number name`")
    for name in listed:
        if listed.count(name) > 1:
            raise UserError(f"{path} names the class {name!r} twice")
    return ClassList(tuple(listed), numbers)
