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
    relative = os.path.relpath(file.path, file.root)
    parts = [part for part in relative.split(os.sep) if part not in ("..", ".", "")]
    return as_text("/".join(parts))


def as_text(name: str) -> str:
    """A file name as one line of valid UTF-8: other bytes become escapes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return UNPRINTABLE.sub(lambda match: rf"\x{ord(match[0]):02x}", text)


def ladder(file: VideoFile) -> list[str]:
    """Ids for one file, the shortest first; the last one is nobody else's."""
    name = name_of(file)
    stem = name[: -len(extension(name))] if extension(name) in VIDEO_EXTENSIONS else name
    rooted = f"{as_text(os.path.basename(file.root))}/{name}"
    digest = hashlib.sha256(os.fsencode(file.path)).hexdigest()[:12]
    return [stem or name, name, rooted.lstrip("/"), f"{name}#{digest}"]


def assign_ids(videos: Sequence[VideoFile], known: Mapping[str, str]) -> list[str]:
    """An id for each file, all different, whatever the order of the files.

    Files that want the same id all take the next longer one, and where a longer one is another's
    shorter one, that other gives way. `known` maps paths to the ids they have in the store: a file
    keeps its id when others join it later.
    """
    ladders = [[known[f.path]] if f.path in known else ladder(f) for f in videos]
    rungs = [0] * len(videos)
    while True:
        ids = [steps[rung] for steps, rung in zip(ladders, rungs, strict=True)]
        wanted = Counter(ids)
        lowest: dict[str, int] = {}
        for video, rung, steps in zip(ids, rungs, ladders, strict=True):
            if wanted[video] > 1 and rung + 1 < len(steps):
                lowest[video] = min(rung, lowest.get(video, rung))
        climbing = [
            i
            for i, video in enumerate(ids)
            if lowest.get(video) == rungs[i] and rungs[i] + 1 < len(ladders[i])
        ]
        if not climbing:
            return ids
        for i in climbing:
            rungs[i] += 1
