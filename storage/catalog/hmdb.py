"""HMDB-51 lists: one `<class>_test_splitN.txt` a class and split, `video.avi 0|1|2` a line."""

from __future__ import annotations

import re
from pathlib import Path

from storage.catalog.catalog import Listing
from storage.catalog.lines import lines, video_id
from storage.errors import UserError

LIST = re.compile(r"^(?P<cls>.+)_test_split(?P<split>\d+)\.txt$")
PART = {"1": "train", "2": "test"}
"""0 marks a video that the split does not use."""
OFFICIAL = (3570, 1530)


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
        found = {label for rows in parts.values() for _, label in rows}
        absent = [name for label, name in enumerate(classes) if label not in found]
        if absent:
            raise UserError(f"{path}: split {split} has no list of {', '.join(absent)}")
    return Listing("hmdb", classes, splits)


def check_counts(listing: Listing, path: Path) -> None:
    """The lists of all 51 classes hold 70 training and 30 test videos each."""
    if len(listing.classes) != 51 or "brush_hair" not in listing.classes:
        return
    for split, parts in listing.splits.items():
        found = (len(parts["train"]), len(parts["test"]))
        if found != OFFICIAL:
            raise UserError(
                f"{path}: split {split} of HMDB-51 lists {found[0]} training and {found[1]} test "
                f"videos, the official one {OFFICIAL[0]} and {OFFICIAL[1]}; the files are cut or "
                "edited (--any-counts accepts them)"
            )
