"""HMDB-51 lists: one `<class>_test_splitN.txt` a class and split, `video.avi 0|1|2` a line."""

from __future__ import annotations

import re
from pathlib import Path

from storage.catalog.catalog import Listing
from storage.catalog.lists import lines
from storage.errors import UserError
from storage.videos import video_id

LIST = re.compile(r"^(?P<cls>.+)_test_split(?P<split>\d+)\.txt$")
PART = {"1": "train", "2": "test"}
"""0 marks a video that the split does not use."""


def recognise(path: Path) -> bool:
    return path.is_dir() and any(LIST.match(file.name) for file in path.iterdir())


def read(path: Path) -> Listing:
    files = [(file, match) for file in sorted(path.iterdir()) if (match := LIST.match(file.name))]
    classes = tuple(sorted({match["cls"] for _, match in files}))
    splits: dict[int, dict[str, list[tuple[str, int]]]] = {}
    for file, match in files:
        parts = splits.setdefault(int(match["split"]), {"train": [], "test": []})
        label = classes.index(match["cls"])
        for number, line in lines(file):
            name, _, mark = line.rpartition(" ")
            if mark not in ("0", "1", "2") or not name:
                raise UserError(f"{file}:{number}: {line!r} is not `video 0|1|2`")
            if mark in PART:
                parts[PART[mark]].append((video_id(f"{match['cls']}/{name.strip()}"), label))
    for split, parts in splits.items():
        present = {label for rows in parts.values() for _, label in rows}
        absent = [name for label, name in enumerate(classes) if label not in present]
        if absent:
            raise UserError(f"{path}: split {split} has no list of {', '.join(absent)}")
    return Listing("hmdb", classes, splits)
