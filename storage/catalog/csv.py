"""Kinetics CSV (label,youtube_id,time_start,time_end,split), or any CSV with video and label.

A column `group` names the source of each video; without it, or where a cell of it is empty, the
video's own name says it.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from storage.catalog.catalog import Listing
from storage.errors import UserError
from storage.videos import FRAME_RATES, PART_OF, video_id


def recognise(path: Path) -> bool:
    return bool(csv_files(path))


def csv_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.glob("*.csv") if file.name != FRAME_RATES)
    return [path] if path.suffix.lower() == ".csv" else []


def read(path: Path) -> Listing:
    """One split. Kinetics publishes no labels of its test part, so there `validate` is the test
    part, and a validation part is cut from train like everywhere."""
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "validation": [], "test": []}
    groups: dict[str, str] = {}
    for file in csv_files(path):
        for row in read_rows(file):
            rows[row.part].append((row.video, row.label))
            if row.group:
                groups[row.video] = row.group
    classes = tuple(sorted({label for part in rows.values() for _, label in part}))
    label_of = {name: index for index, name in enumerate(classes)}
    parts = {
        part: [(video, label_of[label]) for video, label in listed]
        for part, listed in rows.items()
        if listed
    }
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    parts.setdefault("train", [])
    parts.setdefault("test", [])
    return Listing("csv", classes, {1: parts}, groups)


class LabelledRow(NamedTuple):
    """A row of a CSV that has a label."""

    part: str
    video: str
    label: str
    group: str
    """Empty where the row does not say."""


def read_rows(file: Path) -> list[LabelledRow]:
    """The labelled rows."""
    with file.open(newline="", encoding="utf-8-sig") as handle:
        table = csv.DictReader(handle)
        columns = {name.strip().lower() for name in table.fieldnames or ()}
        if not ({"label"} <= columns and columns & {"youtube_id", "video"}):
            if columns & {"youtube_id", "video"}:
                return []  # Kinetics's test file: no labels, nothing to learn or to score
            raise UserError(
                f"{file}: the first line must name the columns label and youtube_id (or video); "
                f"it has {', '.join(sorted(columns)) or 'nothing'}"
            )
        rows = []
        for number, raw in enumerate(table, 2):
            row = {key.strip().lower(): (value or "").strip() for key, value in raw.items() if key}
            word = (row.get("split") or file.stem.rpartition("_")[2]).lower()
            if word not in PART_OF:
                raise UserError(
                    f"{file}:{number}: split {word!r} is not one of {', '.join(PART_OF)}; name it "
                    "in a column `split` or in the file's name"
                )
            if row["label"]:
                video = name_of(row, file, number)
                rows.append(LabelledRow(PART_OF[word], video, row["label"], row.get("group", "")))
        return rows


def name_of(row: dict[str, str], file: Path, number: int) -> str:
    """Kinetics tools name a clip `<youtube id>_<start>_<end>`, seconds in six digits."""
    if row.get("video"):
        return video_id(row["video"])
    try:
        start, end = (round(float(row[key])) for key in ("time_start", "time_end"))
    except (KeyError, ValueError):
        raise UserError(f"{file}:{number}: time_start and time_end must be seconds") from None
    return f"{row['label']}/{row['youtube_id']}_{start:06d}_{end:06d}"
