"""Scores from files that other programs wrote: their arrays, and what they leave unsaid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import UserError
from storage.scores.table import ScoreTable, some

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".webm", ".mov")
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
    """What to believe of scores whose file does not say it."""

    videos: Path | None = None
    """List of the videos, a line each in the order of the rows; lines of the official lists
    (`Class/v_Class_g01_c01.avi 3`) will do."""
    classes: Path | None = None
    """List of the classes, a line each (`Archery` or `3 Archery`)."""
    kind: str | None = None
    """logits or probabilities; found from the values when None."""
    split: int = 1
    part: str = "test"
    label_base: int | None = None
    """What the first class is called in the labels, 0 or 1; found from the values when None."""


@dataclass
class Raw:
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


def text_list(values: Any) -> list[str]:
    """An array of strings or bytes as a list of strings."""
    items = np.asarray(values).ravel().tolist()
    return [x.decode("utf-8", "replace") if isinstance(x, bytes) else str(x) for x in items]


def table_from(raw: Raw, told: Foreign, path: Path) -> ScoreTable:
    """Put a table together from a file's arrays and what the caller said of them."""
    listed_labels: list[int] | None = None
    if told.videos is not None:
        raw.videos, listed_labels = read_video_list(told.videos)
    if told.classes is not None:
        raw.classes = read_class_list(told.classes)
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
    base = told.label_base if told.label_base is not None else raw.label_base
    if labels is None:
        labels = _labels_from(raw.videos, listed_labels, classes, path)
        base = 0
    labels = np.asarray(labels).ravel()
    if base is None:
        base = _label_base(labels, len(classes), path)
    kind = told.kind or _kind_of(scores)
    table = ScoreTable(
        videos=tuple(raw.videos),
        labels=labels - base,
        classes=tuple(classes),
        scores=scores,
        kind=kind,
        stream=path.stem if raw.alone or raw.name.lower() in SCORE_NAMES else raw.name,
        split=told.split,
        part=told.part,
        groups=tuple(raw.groups or ()),
        features=raw.features,
    )
    return replace(
        table, provenance={"imported": path.name} | ({"array": raw.name} if raw.name else {})
    )


def _kind_of(scores: np.ndarray[Any, Any]) -> str:
    sums = scores.sum(axis=1, dtype=np.float64)
    likely = bool(np.all(scores >= 0) and np.all(abs(sums - 1) < 1e-3))
    return "probabilities" if likely else "logits"


def _label_base(labels: np.ndarray[Any, Any], classes: int, path: Path) -> int:
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
    lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    parts = [line.rsplit(maxsplit=1) for line in lines]
    labelled = bool(parts) and all(len(p) == 2 and p[1].isdigit() for p in parts)
    names = [p[0] if labelled else line for p, line in zip(parts, lines, strict=True)]
    videos = [n.rsplit(".", 1)[0] if n.lower().endswith(VIDEO_SUFFIXES) else n for n in names]
    return videos, [int(p[1]) for p in parts] if labelled else None


def read_class_list(path: Path) -> list[str]:
    """Class names of a list like classInd.txt; numbers before the names are dropped."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no list of classes in UTF-8: {error.reason}") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [line.split(maxsplit=1) for line in lines]
    if all(len(p) == 2 and p[0].isdigit() for p in numbered):
        return [name for _, name in sorted((int(p[0]), p[1]) for p in numbered)]
    return lines


def _classes_from_folders(videos: list[str], columns: int, path: Path) -> list[str]:
    """`Archery/v_...` names its class; in order of the alphabet they are the official order."""
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
