"""Score tables as CSV and JSON, for programs and people that read text."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError
from storage.scores.table import ScoreTable, check_header

if TYPE_CHECKING:
    from storage.scores.foreign import Foreign

MARK = "# "
"""Opens the one line of a CSV that holds the header as JSON; readers may skip it."""
LEADING = ("video", "label", "group")


def write_csv(table: ScoreTable, path: Path) -> None:
    """`video,label,group,<class>,...`: a row a video, the label by name; features are left out."""
    with open(path, "w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        file.write(MARK + json.dumps(table.header) + "\n")
        writer = csv.writer(file)
        leading = LEADING if table.groups else LEADING[:2]
        writer.writerow([*leading, *table.classes])
        for i, video in enumerate(table.videos):
            group = [table.groups[i]] if table.groups else []
            scores = table.scores[i].astype(str)  # the shortest text that gives the same float32
            writer.writerow([video, table.classes[table.labels[i]], *group, *scores])


def read_csv(path: Path, told: Foreign) -> ScoreTable:
    """Read what `write_csv` wrote, with or without its first line."""
    with open(path, newline="", encoding="utf-8-sig", errors="surrogatepass") as file:
        try:
            first = file.readline()
            header: dict[str, Any] = {}
            if first.startswith(MARK + "{"):
                header = check_header(json.loads(first[len(MARK) :]))
            else:
                file.seek(0)
            rows = csv.reader(file)
            columns = next(rows, [])
            lead = _leading(columns, path)
            read = [_row(row, columns, lead, path) for row in rows if row]
        except UserError:
            raise
        except (csv.Error, ValueError) as error:
            raise UserError(f"{path}: {error}") from None
    if not header:
        header = {"split": told.split, "part": told.part, "stream": path.stem}
        header |= {"kind": told.kind} if told.kind else {}
        header["provenance"] = {"imported": path.name}
    classes = columns[lead:]
    index = {name: i for i, name in enumerate(classes)}
    unknown = next((row for row, _ in read if row[1] not in index), None)
    if unknown is not None:
        raise UserError(
            f"{path}: {unknown[0]} is labelled {unknown[1]!r}, which is none of the class columns"
        )
    try:
        return ScoreTable(
            videos=tuple(row[0] for row, _ in read),
            labels=np.array([index[row[1]] for row, _ in read], np.int64),
            classes=tuple(classes),
            scores=np.array([scores for _, scores in read]).reshape(len(read), len(classes)),
            groups=tuple(row[2] for row, _ in read) if lead == 3 else (),
            **header,
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _leading(columns: list[str], path: Path) -> int:
    """How many columns come before the classes."""
    if columns[:2] != list(LEADING[:2]):
        raise UserError(f"{path}: its columns must be video,label[,group], then a class each")
    return 3 if columns[2:3] == ["group"] else 2


def _row(
    row: list[str], columns: list[str], lead: int, path: Path
) -> tuple[list[str], NDArray[np.float32]]:
    """A video's names and its scores."""
    if len(row) != len(columns):
        raise UserError(f"{path}: the row of {row[0]} has {len(row)} cells, not {len(columns)}")
    try:
        with np.errstate(over="ignore"):
            return row[:lead], np.array(row[lead:]).astype(np.float32)
    except ValueError as error:
        raise UserError(f"{path}: a score of {row[0]} is no number ({error})") from None


def write_json(table: ScoreTable, path: Path) -> None:
    """One object: the header, `classes`, `videos`, `labels` by name, `groups` and `scores`."""
    names = [table.classes[label] for label in table.labels]
    body: dict[str, Any] = {"videos": table.videos, "labels": names, "classes": table.classes}
    if table.groups:
        body["groups"] = table.groups
    if table.features is not None:
        body["features"] = table.features.tolist()
    path.write_text(json.dumps(table.header | body | {"scores": table.scores.tolist()}) + "\n")


def read_json(path: Path) -> ScoreTable:
    """Read what `write_json` wrote; labels may be class names or indices from 0."""

    def no_constant(name: str) -> None:
        raise UserError(f"{path} holds {name}; score these videos again")

    try:
        body = json.loads(path.read_text("utf-8"), parse_constant=no_constant)
    except RecursionError:
        raise UserError(f"{path} is nested too deeply to be a score table") from None
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from None
    arrays = ("videos", "labels", "classes", "groups", "scores", "features")
    if not isinstance(body, dict) or any(
        not isinstance(body.get(key), list) for key in ("videos", "labels", "classes", "scores")
    ):
        raise UserError(f"{path}: a score table in JSON has lists videos, labels, classes, scores")
    try:
        header = check_header({k: v for k, v in body.items() if k not in arrays})
        index = {name: i for i, name in enumerate(body["classes"])}
        labels = [index[x] if isinstance(x, str) else x for x in body["labels"]]
        features = body.get("features")
        return ScoreTable(
            videos=tuple(body["videos"]),
            labels=np.array(labels),
            classes=tuple(body["classes"]),
            scores=np.array(body["scores"]),
            groups=tuple(map(str, body.get("groups", ()))),
            features=None if features is None else np.array(features),
            **header,
        )
    except KeyError as error:
        raise UserError(f"{path}: label {error} is none of its classes") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: {error}") from None
