"""TSN and mmaction2 lists: `path frames label` (frame folders) or `path label` (videos)."""

from __future__ import annotations

import re
from pathlib import Path

from storage.catalog.catalog import Listing
from storage.catalog.groups import UCF
from storage.catalog.lists import lines, read_class_list
from storage.errors import UserError
from storage.videos import video_id

ROW = re.compile(r"^(?P<path>.+?)(?:\s+(?P<frames>\d+))?\s+(?P<label>\d+)$")
SPLIT = re.compile(r"split_?0*(\d+)")
WORDS = ("train", "val", "test")
"""In the file's name. These tools test on their `val` list, unless there is a `test` list too."""
CLASS_FILES = ("classInd.txt", "classes.txt", "labels.txt", "label_map.txt", "class_list.txt")


def recognise(path: Path) -> bool:
    return bool(list_files(path))


def list_files(path: Path) -> list[Path]:
    """The list files among `path`: itself, or the .txt files of a folder."""
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    return [
        file
        for file in files
        if file.name not in CLASS_FILES
        and file.suffix == ".txt"
        and word_of(file)
        and is_list(file)
    ]


def word_of(file: Path) -> str | None:
    return next((word for word in WORDS if word in file.stem.lower()), None)


def is_list(file: Path) -> bool:
    rows = lines(file)
    return bool(rows) and all(ROW.match(line) for _, line in rows[:10])


def read(path: Path) -> Listing:
    """All lists of a folder. One file alone brings its siblings of the same split's other part."""
    files = list_files(path if path.is_dir() else path.parent)
    splits: dict[int, dict[str, list[tuple[str, int]]]] = {}
    named: dict[int, set[str]] = {}
    for file in files:
        split = SPLIT.search(file.stem.lower())
        lists = splits.setdefault(int(split[1]) if split else 1, {})
        rows = [parse_row(file, number, line) for number, line in lines(file)]
        word = word_of(file) or "train"
        # tsn-pytorch writes one list for RGB and one for flow: the same videos twice.
        if word in lists and sorted(lists[word]) != sorted(rows):
            raise UserError(f"{file} and another {word} list of its split name different videos")
        lists[word] = rows
        for video, label in rows:
            named.setdefault(label, set()).add(class_in(video))
    parts = {split: parts_of(lists) for split, lists in splits.items()}
    return Listing("tsn", class_names(path, named), parts)


def parts_of(lists: dict[str, list[tuple[str, int]]]) -> dict[str, list[tuple[str, int]]]:
    """Parts of one split from its lists by word."""
    train, val, test = (lists.get(word, []) for word in WORDS)
    parts = {"train": train, "test": test or val}
    if test and val and sorted(test) != sorted(val):
        parts["validation"] = val
    return parts


def parse_row(file: Path, number: int, line: str) -> tuple[str, int]:
    match = ROW.match(line)
    if match is None:
        raise UserError(f"{file}:{number}: {line!r} is not `path frames label`")
    return video_id(match["path"].strip()), int(match["label"])


def class_in(video: str) -> str:
    """The class that a path seems to name: the UCF pattern in its stem, else its folder."""
    folder, _, stem = video.rpartition("/")
    match = UCF.match(stem)
    return match["cls"] if match else folder.rpartition("/")[2]


def class_names(path: Path, named: dict[int, set[str]]) -> tuple[str, ...]:
    """From a class file beside the lists; else from the paths, where they agree; else numbers."""
    folder = path if path.is_dir() else path.parent
    count = max(named) + 1
    for file in (folder / name for name in CLASS_FILES):
        if file.is_file():
            names = read_class_list(file).names
            if len(names) < count:
                raise UserError(f"{file} names {len(names)} classes; the lists use {count}")
            return names
    guesses = [next(iter(named.get(label, {""}))) for label in range(count)]
    sure = all(len(names) == 1 for names in named.values()) and all(guesses)
    if sure and len(set(guesses)) == count:
        return tuple(guesses)
    return tuple(f"class {label}" for label in range(count))
