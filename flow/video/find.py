"""From what was typed (folders, files, globs, list files) to video files, each once."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from storage.errors import UserError
from storage.videos import VIDEO_EXTENSIONS

log = logging.getLogger(__name__)

LIST_EXTENSIONS = frozenset({".txt", ".lst", ".list"})
LONGEST_LINE = 8192
"""Characters; no path is longer, and no list is binary."""


@dataclass(frozen=True)
class VideoFile:
    """A file that was asked for, before it has an id."""

    path: str
    """Absolute; links are not resolved."""
    root: str
    """The folder that its id is relative to."""
    trouble: str = ""
    """Why it cannot be read, known already."""
    real: str = field(default="", compare=False)
    """The path with links resolved, where that is known already."""


def find_videos(arguments: Sequence[str], root: str | None = None) -> tuple[list[VideoFile], int]:
    """Every file that the arguments stand for, once; and how many times one was met again.

    A file met through several arguments or links is one video: the first meeting counts, and
    links are met last. Files below `root` get ids relative to it, whatever the argument; the
    lines of a list are relative to it as well.
    """
    if not arguments:
        raise UserError("no videos named: give folders, files, patterns or list files")
    base = os.path.abspath(root) if root is not None else None
    if base is not None and not os.path.isdir(base):
        raise UserError(f"--root {root} is not a folder")
    files: dict[str, VideoFile] = {}
    again = 0
    for argument in arguments:
        for item in expand(argument, base):
            if base is not None and inside(item.path, base):
                item = replace(item, root=base)
            key = item.path if item.trouble else item.real or os.path.realpath(item.path)
            again += key in files
            files.setdefault(key, item)
    if not files:
        raise UserError(
            f"no videos in {', '.join(arguments)}; looked for files ending in "
            + " ".join(sorted(VIDEO_EXTENSIONS))
        )
    return list(files.values()), again


def expand(argument: str, base: str | None) -> Iterator[VideoFile]:
    """What one argument stands for."""
    path = os.path.abspath(argument) if "\0" not in argument else argument
    try:
        exists = os.path.lexists(path)
    except ValueError:
        exists = False
    if exists and os.path.isdir(path):
        yield from walk(path)
    elif exists and extension(path) in LIST_EXTENSIONS:
        yield from read_list(path, base)
    elif exists:
        yield VideoFile(path, os.path.dirname(path))
    elif glob.has_magic(argument):
        fixed = path
        while glob.has_magic(fixed):
            fixed = os.path.dirname(fixed)
        pattern = parts(path, fixed)
        if "**" in pattern:  # not by glob, which goes round for ever where links lead back
            below = walk(fixed) if os.path.isdir(fixed) else ()
            yield from (f for f in below if f.trouble or matches(parts(f.path, fixed), pattern))
            return
        for match in sorted(glob.glob(path)):
            if os.path.isdir(match):
                yield from (replace(f, root=fixed) for f in walk(match))
            elif extension(match) in VIDEO_EXTENSIONS:
                yield VideoFile(match, fixed)
    else:
        raise UserError(f"{argument!r} is no file, no folder and no pattern that matches any")


def parts(path: str, folder: str) -> list[str]:
    """The names that lead from a folder to a path below it."""
    return path[len(folder) :].strip(os.sep).split(os.sep)


def matches(names: list[str], pattern: list[str]) -> bool:
    """Whether a path fits a pattern, name by name; `**` stands for any number of names."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(matches(names[at:], pattern[1:]) for at in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and matches(names[1:], pattern[1:])


def walk(folder: str) -> Iterator[VideoFile]:
    """All videos below a folder, in order; hidden ones are left out.

    Links are followed after everything else, each real folder once: so cycles end, and a file
    is met under its own name first.
    """
    later = [folder]
    visited: set[str] = set()
    while later:
        stack = [later.pop(0)]
        while stack:
            here = stack.pop()
            real = os.path.realpath(here)
            if real in visited:
                log.info(f"{here} leads to {real}, which was met already; its videos count once")
                continue
            visited.add(real)
            try:
                with os.scandir(here) as entries:
                    ordered = sorted(entries, key=lambda entry: os.fsencode(entry.name))
            except OSError as error:
                yield VideoFile(here, folder, f"the folder cannot be read: {error.strerror}")
                continue
            below = []
            prefix = real if real.endswith(os.sep) else real + os.sep
            for entry in ordered:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    # not entry.is_dir(), which fails on a link to itself
                    if os.path.isdir(entry.path) or extension(entry.name) in VIDEO_EXTENSIONS:
                        later.append(entry.path)
                elif entry.is_dir():
                    below.append(entry.path)
                elif extension(entry.name) in VIDEO_EXTENSIONS:
                    yield VideoFile(entry.path, folder, real=f"{prefix}{entry.name}")
            stack += reversed(below)
        while later and not os.path.isdir(later[0]):
            yield VideoFile(later.pop(0), folder)  # a link to a file, or to nothing


def read_list(path: str, base: str | None) -> Iterator[VideoFile]:
    """The videos of a list file, one a line, relative to `base` or to the list's own folder.

    A class label behind the path (`Biking/v_Biking_g01_c01.avi 3`) is left out. A line that
    names no file is kept, with its trouble, so that it is counted.
    """
    root = base or os.path.dirname(path)
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline=None) as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise UserError(f"list {path} cannot be read: {error.strerror}") from None
    for line in lines:
        line = line.strip()
        if not line:
            continue
        if len(line) > LONGEST_LINE or "\0" in line:
            raise UserError(f"list {path} is not a text file with one path a line")
        place = os.path.normpath(os.path.join(root, line))
        if not os.path.lexists(place):
            name, _, label = line.rpartition(" ")
            without = os.path.normpath(os.path.join(root, name.strip()))
            if name and label.isdigit() and os.path.lexists(without):
                place = without
        if os.path.isdir(place):
            yield VideoFile(place, root, "a folder, in a list of files")
        elif not os.path.exists(place):
            yield VideoFile(place, root, "no such file")
        else:
            yield VideoFile(place, root)


def extension(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def inside(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)
