"""Folders and what lies in them, where links may lead anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walk_folders(
    path: Path, on_error: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """(folder, names of its folders, names of its files) of `path` and all below, sorted.

    Links are followed, for a class may be a link to a folder elsewhere. A link to a folder above
    itself is not.
    """
    above: dict[str, frozenset[str]] = {str(path): frozenset()}
    for folder, folders, files in os.walk(path, onerror=on_error, followlinks=True):
        real = os.path.realpath(folder)
        ancestors = above.pop(folder)
        if real in ancestors:
            folders.clear()
            continue
        folders.sort()
        for name in folders:
            above[os.path.join(folder, name)] = ancestors | {real}
        yield Path(folder), folders, sorted(files)
