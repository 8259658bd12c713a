"""Ids of videos: the relative path without the extension, and never the same for two files."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from flow.video.find import VideoFile, extension
from storage.videos import VIDEO_EXTENSIONS

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def name_of(file: VideoFile) -> str:
    """The file's path relative to its root, with the extension, as text.

    What lies outside the root loses its leading "..", so no id ever points out of anywhere.
    """
    root = file.root if file.root.endswith(os.sep) else file.root + os.sep
    if file.path.startswith(root) and os.path.normpath(file.path) == file.path:
        return as_text(file.path[len(root) :])
    relative = os.path.relpath(file.path, file.root)
    parts = [part for part in relative.split(os.sep) if part not in ("..", ".", "")]
    return as_text("/".join(parts))


def as_text(name: str) -> str:
    """A file name as one line of valid UTF-8: other bytes become escapes."""
    if name.isascii() and name.isprintable():
        return name
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return UNPRINTABLE.sub(lambda match: rf"\x{ord(match[0]):02x}", text)


def ladder(file: VideoFile) -> list[str]:
    """Ids for one file, the shortest first; the last one is nobody else's."""
    name = name_of(file)
    rooted = f"{as_text(os.path.basename(file.root))}/{name}"
    digest = hashlib.sha256(os.fsencode(file.path)).hexdigest()[:12]
    return [shortest(file), name, rooted.lstrip("/"), f"{name}#{digest}"]


def shortest(file: VideoFile) -> str:
    """The id that a file has where no other wants it."""
    name = name_of(file)
    ending = extension(name)
    return (name[: -len(ending)] if ending in VIDEO_EXTENSIONS else name) or name


def assign_ids(videos: Sequence[VideoFile], known: Mapping[str, str]) -> list[str]:
    """An id for each file, all different, whatever the order of the files.

    Files that want the same id all take the next longer one, and where a longer one is another's
    shorter one, that other gives way. `known` maps paths to the ids they have in the store: a file
    keeps its id when others join it later.
    """
    ladders: dict[int, list[str]] = {}

    def steps(number: int) -> list[str]:
        """Made when a neighbour wants the id: few files have such a neighbour."""
        if number not in ladders:
            path = videos[number].path
            ladders[number] = [known[path]] if path in known else ladder(videos[number])
        return ladders[number]

    rungs = [0] * len(videos)
    ids = [known[file.path] if file.path in known else shortest(file) for file in videos]
    while True:
        wanted = Counter(ids)
        shared = [i for i, video in enumerate(ids) if wanted[video] > 1]
        lowest: dict[str, int] = {}
        for i in shared:
            if rungs[i] + 1 < len(steps(i)):
                lowest[ids[i]] = min(rungs[i], lowest.get(ids[i], rungs[i]))
        climbing = [
            i for i in shared if lowest.get(ids[i]) == rungs[i] and rungs[i] + 1 < len(steps(i))
        ]
        if not climbing:
            return ids
        for i in climbing:
            rungs[i] += 1
            ids[i] = steps(i)[rungs[i]]
