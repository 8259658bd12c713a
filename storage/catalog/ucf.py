"""UCF-101 lists: classInd.txt, trainlistNN.txt (`Class/v.avi 1`) and testlistNN.txt."""

from __future__ import annotations

import re
from pathlib import Path

from storage.catalog.catalog import Listing
from storage.catalog.lists import lines, read_class_list
from storage.catalog.tsn import list_files
from storage.errors import UserError
from storage.videos import PART_OF, video_id

LIST = re.compile(r"^(?P<part>train|test|val|validation)list(?P<split>\d+)\.txt$")


def recognise(path: Path) -> bool:
    if not path.is_dir() or not (path / "classInd.txt").is_file():
        return False
    # TSN's lists may name their classes in a file of the same name; `twostream export` does so.
    return any(LIST.match(file.name) for file in path.iterdir()) or not list_files(path)


def read(path: Path) -> Listing:
    classes = read_classes(path / "classInd.txt")
    label_of = {name.casefold(): label for label, name in enumerate(classes)}
    splits: dict[int, dict[str, list[tuple[str, int]]]] = {}
    for file in sorted(path.iterdir()):
        match = LIST.match(file.name)
        if match:
            parts = splits.setdefault(int(match["split"]), {"train": [], "test": []})
            parts[PART_OF[match["part"]]] = [
                labelled_video(file, number, line, label_of) for number, line in lines(file)
            ]
    return Listing("ucf", classes, splits)


def read_classes(file: Path) -> tuple[str, ...]:
    """`1 ApplyEyeMakeup`, numbered from 1 without gaps."""
    names, numbers = read_class_list(file, numbered=True)
    if not names or numbers != tuple(range(1, len(names) + 1)):
        raise UserError(f"{file} must number its classes 1, 2, 3 ... without gaps")
    return names


def labelled_video(file: Path, number: int, line: str, label_of: dict[str, int]) -> tuple[str, int]:
    """The class is the folder. A number behind the path (training lists) must agree with it."""
    path, given = line, None
    head, _, tail = line.rpartition(" ")
    if tail.isdigit() and head:
        path, given = head.strip(), int(tail) - 1
    folder = path.replace("\\", "/").rpartition("/")[0].rpartition("/")[2]
    # The data set itself spells HandstandPushups and HandStandPushups.
    label = label_of.get(folder.casefold())
    if label is None:
        raise UserError(f"{file}:{number}: class {folder!r} is not in classInd.txt")
    if given is not None and given != label:
        raise UserError(
            f"{file}:{number}: {path!r} carries number {given + 1}, "
            f"but classInd.txt numbers {folder} {label + 1}"
        )
    return video_id(path), label
