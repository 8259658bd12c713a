"""A folder of class folders with videos in them, with or without train/val/test above."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from storage.catalog.catalog import Listing
from storage.catalog.groups import cut_validation, group_of
from storage.catalog.lines import VIDEO_ENDINGS, video_id

PART = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
TEST_SHARE = 0.3
"""Where the folders name no parts, this share of each class's sources is the test part."""


def recognise(path: Path) -> bool:
    return path.is_dir() and any(True for _ in videos_in(path))


def videos_in(path: Path) -> list[tuple[str, str]]:
    """(class name, path from `path` on) of every video two or more levels down, sorted."""
    found = []
    for file in files_below(path):
        inside = file.relative_to(path)
        if file.suffix.lower() in VIDEO_ENDINGS and len(inside.parts) >= 2 and file.is_file():
            found.append((inside.parts[-2], inside.as_posix()))
    return sorted(found, key=lambda row: Path(row[1]))


def files_below(path: Path) -> Iterator[Path]:
    """Links to folders are followed, as a class picked from elsewhere may be one; cycles end."""
    above: dict[str, frozenset[str]] = {str(path): frozenset()}
    for folder, folders, files in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        passed = above.pop(folder)
        if real in passed:
            folders.clear()
            continue
        for name in folders:
            above[os.path.join(folder, name)] = passed | {real}
        yield from (Path(folder, name) for name in files)


def read(path: Path) -> Listing:
    videos = videos_in(path)
    classes = tuple(sorted({name for name, _ in videos}))
    label_of = {name: label for label, name in enumerate(classes)}
    parts: dict[str, list[tuple[str, int]]] = defaultdict(list)
    tops = {file.partition("/")[0] for _, file in videos}
    if tops <= set(PART) and all(file.count("/") >= 2 for _, file in videos):
        for name, file in videos:
            parts[PART[file.partition("/")[0]]].append((video_id(file), label_of[name]))
        if "test" not in parts and "validation" in parts:
            parts["test"] = parts.pop("validation")
    else:
        rows = [(video_id(file), label_of[name]) for name, file in videos]
        held = cut_validation(
            [label for _, label in rows],
            [group_of(video) for video, _ in rows],
            TEST_SHARE,
        )
        for row, is_test in zip(rows, held, strict=True):
            parts["test" if is_test else "train"].append(row)
    return Listing("folders", classes, {1: {"train": [], "test": [], **parts}})
