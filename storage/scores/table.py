"""Class scores of many videos: what a stream writes and what fusion reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from storage import atomic
from storage.errors import UserError
from storage.scores.budget import LIMIT
from storage.scores.npz import read_npz
from storage.videos import PARTS

KINDS = ("logits", "probabilities", "scores")
"""scores: of neither kind, as averages after l2 are. They rank the classes and say no more."""
FORMAT, VERSION = "twostream-scores", 2
DEEPEST = 40
"""Levels of `provenance`. A file nested deeper was made to break its readers."""


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """N videos x C classes. Tables are joined by video id, never by row number."""

    videos: tuple[str, ...]
    labels: NDArray[np.int64]
    """(N,): index into `classes`."""
    classes: tuple[str, ...]
    scores: NDArray[np.float32]
    """(N, C)."""
    kind: str = "logits"
    """What the scores are: logits, probabilities or other scores."""
    stream: str = ""
    """spatial, temporal, fused, or whatever its maker calls it."""
    split: int = 1
    part: str = "test"
    groups: tuple[str, ...] = ()
    """(N,) or empty: videos of one source share a group and are not independent."""
    features: NDArray[np.float32] | None = None
    """(N, D) pooled features, where they were kept."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """How it was made (run folder, views, weights, ...): JSON values, shown in the report."""

    def __post_init__(self) -> None:
        n, c = len(self.videos), len(self.classes)
        if self.kind not in KINDS:
            raise UserError(f"scores are {self.kind!r}; they must be one of {', '.join(KINDS)}")
        if self.part not in PARTS:
            raise UserError(f"part {self.part!r} is not one of {', '.join(PARTS)}")
        if not n or not c:
            raise UserError(
                f"a score table of {n} videos and {c} classes says nothing; is it empty?"
            )
        check_names("video", self.videos)
        check_names("class", self.classes)
        keep = object.__setattr__
        keep(self, "scores", _matrix("scores", self.scores, self.videos, c))
        keep(self, "labels", _labels(self.labels, self.videos, c))
        if self.kind == "probabilities":
            _check_probabilities(self.scores, self.videos)
        if self.groups and len(self.groups) != n:
            raise UserError(f"{len(self.groups)} groups do not fit {n} videos")
        if self.features is not None:
            keep(self, "features", _matrix("features", self.features, self.videos))

    def __repr__(self) -> str:
        return (
            f"ScoreTable({self.stream or 'unnamed'}, split {self.split} {self.part}: "
            f"{len(self.videos)} videos x {len(self.classes)} classes of {self.kind})"
        )

    def rows(self, order: Sequence[int] | NDArray[np.int64]) -> ScoreTable:
        """The table with only these rows, in this order."""
        at = np.asarray(order, np.int64)
        return replace(
            self,
            videos=tuple(self.videos[i] for i in at),
            labels=self.labels[at],
            scores=self.scores[at],
            groups=tuple(self.groups[i] for i in at) if self.groups else (),
            features=None if self.features is None else self.features[at],
        )

    @property
    def header(self) -> dict[str, Any]:
        """What a file says of the table beside its arrays. JSON values."""
        named = {key: getattr(self, key) for key in ("kind", "stream", "split", "part")}
        # Version 2 knows a third kind; whatever version 1 can say is written as version 1.
        version = VERSION if self.kind == "scores" else 1
        return {"format": FORMAT, "version": version, **named, "made": self.provenance}

    def save(self, path: str | Path) -> None:
        """Write an npz that holds no pickle. Who reads it meanwhile sees the old one."""
        with atomic.replacing(Path(path)) as fresh:
            write_npz(self, fresh)

    @classmethod
    def load(cls, path: str | Path, max_bytes: int = LIMIT) -> ScoreTable:
        """Read what `save` wrote. `read_scores` reads other tools' files too."""
        names = ("header", "videos", "labels", "classes", "scores", "groups", "features")
        data = read_npz(path, names, max_bytes)
        absent = [name for name in names[:5] if name not in data]
        if absent:
            raise UserError(
                f"{path} is no score table of ours: it lacks {', '.join(absent)}. Another "
                "tool's scores are read as FILE.npz:ARRAY, with arrays videos, labels and classes"
            )
        try:
            header = check_header(json.loads(str(data["header"])))
            return cls(
                videos=tuple(map(str, data["videos"])),
                labels=data["labels"],
                classes=tuple(map(str, data["classes"])),
                scores=data["scores"],
                groups=tuple(map(str, data["groups"])) if "groups" in data else (),
                features=data.get("features"),
                **header,
            )
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{path}: {error}") from None


def write_npz(table: ScoreTable, path: Path) -> None:
    """What `ScoreTable.load` reads."""
    arrays: dict[str, Any] = {
        "videos": np.array(table.videos),
        "labels": table.labels,
        "classes": np.array(table.classes),
        "scores": table.scores,
        "header": np.array(json.dumps(table.header)),
    }
    if table.groups:
        arrays["groups"] = np.array(table.groups)
    if table.features is not None:
        arrays["features"] = table.features
    with path.open("wb") as file:  # by a path, NumPy would add an ending
        np.savez_compressed(file, **arrays)


def check_header(header: object) -> dict[str, Any]:
    """The fields of a table out of a file's header, or an error that says what is wrong in it."""
    if not isinstance(header, dict) or header.get("format", FORMAT) != FORMAT:
        raise UserError(f"its header does not say {FORMAT!r}")
    if header.get("version", VERSION) > VERSION:
        raise UserError(f"its format version is {header['version']}, newer than {VERSION}; update")
    fields = {key: value for key, value in header.items() if key not in ("format", "version")}
    types = {"kind": str, "stream": str, "split": int, "part": str, "made": dict}
    for key, value in fields.items():
        if key not in types or not isinstance(value, types[key]):
            raise UserError(f"its header has {key} = {value!r}; known are {', '.join(types)}")
    provenance = fields.pop("made", {})
    if _deeper_than(provenance, DEEPEST):
        raise UserError(f"its header's made is nested more than {DEEPEST} deep")
    return {**fields, "provenance": provenance}


def _deeper_than(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper_than(item, levels - 1) for item in inner)


def some(names: Iterable[object], most: int = 3) -> str:
    """A few of many names, and how many more."""
    listed = list(names)
    text = ", ".join(str(name) for name in listed[:most])
    return text + (f" and {len(listed) - most} more" if len(listed) > most else "")


def check_names(what: str, names: Sequence[str]) -> None:
    if any(not isinstance(name, str) or not name or "\0" in name for name in names):
        raise UserError(f"every {what} needs a name, without NUL characters")
    if len(set(names)) != len(names):
        doubled = [name for name, count in Counter(names).items() if count > 1]
        raise UserError(f"{what} named more than once: {some(doubled)}; keep one row of each")


def _matrix(
    what: str, values: ArrayLike, videos: Sequence[str], columns: int | None = None
) -> NDArray[np.float32]:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.ndim != 2:
        raise UserError(
            f"{what} must be a matrix of numbers, not {array.dtype} of shape {array.shape}"
        )
    if array.shape[0] != len(videos) or columns not in (None, array.shape[1]):
        wanted = f"{len(videos)} videos" + ("" if columns is None else f" x {columns} classes")
        raise UserError(f"{what} of shape {array.shape} do not fit {wanted}")
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(matrix).all():
        bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
        raise UserError(
            f"{what} of {len(bad)} of {len(videos)} videos are NaN or infinite "
            f"({some(videos[i] for i in bad.tolist())}); score these videos again"
        )
    return matrix


def _labels(values: ArrayLike, videos: Sequence[str], classes: int) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.shape != (len(videos),):
        raise UserError(f"labels of shape {array.shape} do not fit {len(videos)} videos")
    if array.dtype.kind not in "iu" and not (
        array.dtype.kind == "f" and np.array_equal(array, np.round(array))
    ):
        raise UserError(
            f"labels must be whole numbers (an index into the classes), not {array.dtype}"
        )
    wrong = np.flatnonzero((array < 0) | (array >= classes))
    if len(wrong):
        raise UserError(
            f"label {array[wrong[0]]} of video {videos[wrong[0]]} is not 0 to {classes - 1}, "
            f"an index into the {classes} classes"
        )
    return np.ascontiguousarray(array, np.int64)


def _check_probabilities(scores: NDArray[np.float32], videos: Sequence[str]) -> None:
    wrong = np.flatnonzero((scores.min(1) < -1e-6) | (abs(scores.sum(1) - 1) > 1e-2))
    if len(wrong):
        raise UserError(
            f"scores of {videos[wrong[0]]} lie from {scores[wrong[0]].min():g} and sum to "
            f"{scores[wrong[0]].sum():g}: these are no probabilities; use kind 'logits'"
        )
