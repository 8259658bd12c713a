"""Scores from files that other programs wrote: their arrays, and what they leave unsaid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from storage.catalog import lines, read_class_list
from storage.errors import UserError
from storage.scores.table import ScoreTable, some
from storage.videos import video_id

SCORE_NAMES = ("scores", "score", "logits", "probabilities", "probs")
ALIASES = {
    "videos": ("videos", "video", "video_ids", "names", "video_names"),
    "labels": ("labels", "label", "targets", "gt"),
    "classes": ("classes", "class_names", "labels_names"),
    "groups": ("groups", "group"),
    "features": ("features",),
}


@dataclass(frozen=True)
class Foreign:
    """What the caller states of scores, where their file does not."""

    videos: Path | None = None
    """List of the videos, a line each in the order of the rows. Lines of the official lists
    (`Class/v_Class_g01_c01.avi 3`) will do."""
    classes: Path | None = None
    """List of the classes, a line each (`Archery` or `3 Archery`)."""
    kind: str | None = None
    """logits, probabilities or scores. Found from the values when None."""
    split: int = 1
    part: str = "test"
    label_base: int | None = None
    """What the first class is called in the labels, 0 or 1. Found from the values when None."""


@dataclass
class ForeignArrays:
    """The arrays of one foreign file, before they are a table."""

    scores: np.ndarray[Any, Any]
    name: str = ""
    alone: bool = False
    """Whether it is the file's only score matrix, which the file's name then tells better."""
    videos: list[str] | None = None
    labels: np.ndarray[Any, Any] | None = None
    label_base: int | None = None
    classes: list[str] | None = None
    groups: list[str] | None = None
    features: np.ndarray[Any, Any] | None = None


def choose_matrix(path: Path, names: list[str], asked: str | None) -> str:
    """The array that holds the scores: the one asked for, or the only one it can be."""
    if asked is not None:
        if asked not in names:
            raise UserError(f"{path} has no scores {asked!r}; it has {some(names, 12) or 'none'}")
        return asked
    likely = [name for name in names if name.lower() in SCORE_NAMES] or names
    if len(likely) != 1:
        raise UserError(
            f"{path} holds {some(names, 12) or 'no array'}; say which are the scores, "
            f"as in {path}:{names[0] if names else 'NAME'}"
        )
    return likely[0]


def text_list(values: ArrayLike) -> list[str]:
    """An array of strings or bytes as a list of strings."""
    items = np.asarray(values).ravel().tolist()
    return [x.decode("utf-8", "replace") if isinstance(x, bytes) else str(x) for x in items]


def matrices_in(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """The arrays that may be scores, and the names of those beside them by what they hold."""
    names = list(names)
    firsts = {key: [n for n in aliases if n in names][:1] for key, aliases in ALIASES.items()}
    beside = {key: first[0] for key, first in firsts.items() if first}
    others = {*beside.values(), "header", "label_base"}
    return [name for name in names if name not in others], beside


def arrays_of(
    values: Mapping[str, Any], name: str, beside: Mapping[str, str], alone: bool
) -> ForeignArrays:
    """The scores `name` with the arrays beside them."""
    texts = {
        key: text_list(values[beside[key]]) if key in beside else None
        for key in ("videos", "classes", "groups")
    }
    labels, base = values.get(beside.get("labels", "")), values.get("label_base")
    return ForeignArrays(
        scores=np.asarray(values[name]),
        name=name,
        alone=alone,
        labels=None if labels is None else np.asarray(labels).ravel(),
        label_base=None if base is None else int(np.asarray(base).ravel()[0]),
        features=values.get(beside.get("features", "")),
        **texts,
    )


def table_from(raw: ForeignArrays, foreign: Foreign, path: Path) -> ScoreTable:
    """A table from a file's arrays and what the caller states of them."""
    listed_labels: list[int] | None = None
    if foreign.videos is not None:
        raw.videos, listed_labels = read_video_list(foreign.videos)
    if foreign.classes is not None:
        raw.classes = list(read_class_list(foreign.classes).names)
    if raw.videos is None:
        raise UserError(
            f"{path} does not say which row is which video; give the list with --video-list"
        )
    scores = np.squeeze(raw.scores) if raw.scores.ndim > 2 else raw.scores
    n = len(raw.videos)
    if scores.ndim == 2 and scores.shape[0] != n and scores.shape[1] == n:
        scores = scores.T  # MATLAB programs often keep a video a column
    if scores.ndim != 2 or scores.shape[0] != n:
        raise UserError(f"{path}: scores of shape {raw.scores.shape} do not fit {n} listed videos")
    classes = raw.classes or _classes_from_folders(raw.videos, scores.shape[1], path)
    labels = raw.labels
    base = foreign.label_base if foreign.label_base is not None else raw.label_base
    if labels is None:
        labels = _labels_from(raw.videos, listed_labels, classes, path)
        base = 0
    labels = np.asarray(labels).ravel()
    if base is None:
        base = _label_base(labels, len(classes), path)
    kind = foreign.kind or _kind_of(scores)
    return ScoreTable(
        videos=tuple(raw.videos),
        labels=labels - base,
        classes=tuple(classes),
        scores=scores,
        kind=kind,
        stream=path.stem if raw.alone or raw.name.lower() in SCORE_NAMES else raw.name,
        split=foreign.split,
        part=foreign.part,
        groups=tuple(raw.groups or ()),
        features=raw.features,
        provenance={"imported": path.name} | ({"array": raw.name} if raw.name else {}),
    )


def _kind_of(scores: NDArray[np.number]) -> str:
    sums = scores.sum(axis=1, dtype=np.float64)
    likely = bool(np.all(scores >= 0) and np.all(abs(sums - 1) < 1e-3))
    return "probabilities" if likely else "logits"


def _label_base(labels: NDArray[np.number], classes: int, path: Path) -> int:
    low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if low == 0 or (high < classes and low > 1):
        return 0
    if high == classes:
        return 1
    raise UserError(
        f"{path}: labels run from {low} to {high} for {classes} classes; say with --label-base "
        "whether the first class is 0 or 1"
    )


def read_video_list(path: Path) -> tuple[list[str], list[int] | None]:
    """Video ids, and 1-based labels where each line has one, of a list like testlist01.txt."""
    listed = [line for _, line in lines(path)]
    cells = [line.rsplit(maxsplit=1) for line in listed]
    if cells and all(len(row) == 2 and row[1].isdecimal() for row in cells):
        return [video_id(name) for name, _ in cells], [int(label) for _, label in cells]
    return [video_id(line) for line in listed], None


def _classes_from_folders(videos: list[str], columns: int, path: Path) -> list[str]:
    """`Archery/v_...` names its class. In order of the alphabet they are the official order."""
    folders = sorted({video.rsplit("/", 1)[0] for video in videos if "/" in video})
    if len(folders) == columns:
        return folders
    raise UserError(f"{path} does not name its {columns} classes; give the list with --class-list")


def _labels_from(
    videos: list[str], listed: list[int] | None, classes: list[str], path: Path
) -> np.ndarray[Any, Any]:
    if listed is not None:
        return np.array(listed) - 1
    index = {name: i for i, name in enumerate(classes)}
    folders = [video.split("/", 1)[0] for video in videos]
    unknown = sorted({f for f in folders if f not in index})
    if unknown:
        raise UserError(
            f"{path} has no labels, and {some(unknown)} in the videos' names is none of its "
            "classes; give a --video-list with labels (`Class/video.avi 3`) or without"
        )
    return np.array([index[f] for f in folders])
