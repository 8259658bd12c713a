"""What is to be done: what is stored already, what has changed since, and what others do."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flow.extraction.extract import file_identity
from flow.extraction.failures import Failure
from flow.video import VideoFile, as_text, assign_ids, name_of
from storage.errors import UserError

CHANGED = "source changed"


@dataclass(frozen=True)
class Task:
    """A video to extract."""

    video: str
    path: str
    name: str
    """Relative path with the extension: what the store calls the source."""
    bytes: int
    frames: int = 0
    """As its headers say, or by its size where very many wait; 0 when unknown."""
    redo: bool = False
    """It is stored, from a source that has changed since."""


@dataclass
class Plan:
    """found = tasks + skipped + failed."""

    found: int
    tasks: list[Task] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class Share:
    """The part of the videos that one of several jobs extracts."""

    index: int = 1
    """From 1 to `count`."""
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Share:
        index, slash, count = text.partition("/")
        good = slash and index.isdecimal() and count.isdecimal()
        if not good or not 1 <= int(index) <= int(count):
            raise UserError(
                f"--shard {text!r} is not I/N with I from 1 to N, for example 3/8; a Slurm array "
                "from 1 counts so: --shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
            )
        return cls(int(index), int(count))

    def holds(self, video: str) -> bool:
        """By a hash of the id: every job agrees, even where one of them sees a new file."""
        digest = hashlib.sha256(video.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1


def make_plan(
    videos: Sequence[VideoFile],
    stored: Mapping[str, Mapping[str, Any]],
    share: Share | None = None,
    redo_changed: bool = False,
) -> Plan:
    """Sort the videos into those to do (the largest first), those done, and those that fail now.

    `stored` gives the source of each video that the store holds, by its id.
    """
    ids = assign_ids(videos, stored_ids(videos, stored))
    mine = [(f, v) for f, v in zip(videos, ids, strict=True) if share is None or share.holds(v)]
    plan = Plan(len(mine))
    for file, video in mine:
        path = as_text(file.path)
        try:
            size = 0 if file.trouble else os.stat(file.path).st_size
        except OSError as error:
            file = replace(file, trouble=error.strerror or "cannot be read")
        if file.trouble:
            reason = f"cannot open: {file.trouble}"
            plan.failed.append(Failure(video, path, "cannot open", reason))
            continue
        redo = False
        if video in stored:
            change = change_of(file.path, stored[video])
            if not change:
                plan.skipped.append(video)
                continue
            if not redo_changed:
                plan.failed.append(Failure(video, path, CHANGED, change_reason(change)))
                continue
            redo = True
        plan.tasks.append(Task(video, file.path, name_of(file), size, redo=redo))
    plan.tasks.sort(key=lambda task: (-task.bytes, task.video))
    return plan


def stored_ids(
    videos: Sequence[VideoFile], stored: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Path -> id of what is stored already, so that ids do not change with what else is named.

    A file and a stored video belong together by their name; where several have it, because they
    lie under several folders, by their content.
    """
    if not stored:
        return {}
    files: dict[str, list[VideoFile]] = defaultdict(list)
    for file in videos:
        files[name_of(file)].append(file)
    ids: dict[str, list[str]] = defaultdict(list)
    for video, source in stored.items():
        ids[str(source.get("name", ""))].append(video)
    known: dict[str, str] = {}
    for name in files.keys() & ids.keys():
        if len(files[name]) == len(ids[name]) == 1:
            known[files[name][0].path] = ids[name][0]
            continue
        for video in ids[name]:
            alike = [
                f.path for f in files[name] if f.path not in known and has_content(f, stored[video])
            ]
            if len(alike) == 1:
                known[alike[0]] = video
    return known


def has_content(file: VideoFile, source: Mapping[str, Any]) -> bool:
    """Whether a file is the very content that a video was stored from."""
    try:
        return not file.trouble and "sha256" in source and not change_of(file.path, source)
    except OSError:
        return False


def change_reason(how: str) -> str:
    """The reason of such a failure."""
    return f"{CHANGED} since it was stored: {how} (--redo-changed)"


def change_of(path: str, source: Mapping[str, Any]) -> str:
    """How a file differs from what was stored of it, or nothing.

    A file with the size and the time of change it had then is taken to be the same; any other
    is read and hashed, so that a copied or touched dataset is not extracted again.
    """
    if "sha256" not in source:
        return ""  # stored by other means, e.g. an import
    status = os.stat(path)
    if status.st_size != source.get("bytes"):
        return f"{source.get('bytes')} bytes became {status.st_size}"
    if status.st_mtime_ns == source.get("mtime_ns"):
        return ""
    try:
        digest = file_identity(path)["sha256"]
    except OSError:
        return ""  # extraction is what says why it cannot be read
    return "" if digest == source["sha256"] else "the same size, another sha256"
