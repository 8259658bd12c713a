"""A folder of class folders with videos in them, with or without train/val/test above."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from storage.catalog.catalog import Listing
from storage.catalog.groups import cut_validation, group_of
from storage.catalog.walk import walk_folders
from storage.videos import PART_OF, VIDEO_EXTENSIONS, video_id

TEST_SHARE = 0.3
"""Where the folders name no parts, this share of each class's sources is the test part."""


def recognise(path: Path) -> bool:
    return path.is_dir() and any(True for _ in videos_in(path))


def videos_in(path: Path) -> list[tuple[str, str]]:
    """(class name, path from `path` on) of every video two or more levels down, sorted."""
    videos = [
        (folder.name, (folder / name).relative_to(path).as_posix())
        for folder, _, names in walk_folders(path)
        for name in names
        if folder != path
        and Path(name).suffix.lower() in VIDEO_EXTENSIONS
        and (folder / name).is_file()
    ]
    return sorted(videos, key=lambda row: Path(row[1]))


def read(path: Path) -> Listing:
    videos = videos_in(path)
    classes = tuple(sorted({name for name, _ in videos}))
    label_of = {name: label for label, name in enumerate(classes)}
    parts: dict[str, list[tuple[str, int]]] = defaultdict(list)
    tops = {file.partition("/")[0] for _, file in videos}
    if tops <= PART_OF.keys() and all(file.count("/") >= 2 for _, file in videos):
        for name, file in videos:
            parts[PART_OF[file.partition("/")[0]]].append((video_id(file), label_of[name]))
        if "test" not in parts and "validation" in parts:
            parts["test"] = parts.pop("validation")
    else:
        rows = [(video_id(file), label_of[name]) for name, file in videos]
        chosen = cut_validation(
            [label for _, label in rows],
            [group_of(video) for video, _ in rows],
            TEST_SHARE,
        )
        for row, is_test in zip(rows, chosen, strict=True):
            parts["test" if is_test else "train"].append(row)
    return Listing("folders", classes, {1: {"train": [], "test": [], **parts}})
