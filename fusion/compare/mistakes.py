"""What is right in a wrong answer: the object but not the motion, or the motion but not the object.

Classes may share parts: `SpotsUp` and `SpotsDown` the appearance, `SpotsUp` and `VeinsUp` the
motion. Which do is read from their names, where these are a product, or from a file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusion.judge import SplitEvaluation
from storage.errors import UserError
from storage.scores import some

WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_]+")
MOST_PARTS = 3


@dataclass(frozen=True)
class ClassParts:
    """What each class is made of."""

    names: tuple[str, ...]
    """Of the parts, as `object` and `motion`."""
    values: NDArray[np.int64]
    """(C, parts): two classes with the same number share the part."""
    source: str
    """Where that comes from, in words."""


@dataclass(frozen=True)
class ErrorKinds:
    """How often each system's answers have which parts right."""

    parts: ClassParts
    kinds: tuple[str, ...]
    """`object right, motion wrong`, ...; without the answers that are right in everything."""
    share: Mapping[str, tuple[float, ...]]
    """System -> share of all videos with each kind of error."""
    wrong: Mapping[str, float]
    """System -> share of videos that are wrong, the sum of the kinds."""
    by_chance: tuple[float, ...]
    """Of all errors, which share each kind would have were every wrong class equally likely."""


def class_parts(classes: Sequence[str]) -> ClassParts | None:
    """From the names, where each has the same number of words, two or three, every word is shared
    by several classes, and no two classes are the same; None otherwise."""
    words = [WORD.findall(name) for name in classes]
    number = len(words[0])
    if not 2 <= number <= MOST_PARTS or any(len(each) != number for each in words):
        return None
    columns = [[each[i] for each in words] for i in range(number)]
    shared = all(1 < len(set(column)) <= len(classes) / 2 for column in columns)
    if not shared or len({tuple(each) for each in words}) < len(classes):
        return None
    names = ("first word", "second word", "third word")[:number]
    return ClassParts(names, _numbers(columns), "the words of the class names")


def read_parts(path: Path, classes: Sequence[str]) -> ClassParts:
    """From a CSV file: a first line `class,object,motion` (any names), then a line a class."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            heading, *rows = [row for row in csv.reader(file) if row]
    except OSError as error:
        raise UserError(f"--parts {path} cannot be read: {error.strerror}") from None
    except (ValueError, csv.Error):
        raise UserError(
            f"--parts {path} is no CSV file with a first line such as class,object,motion"
        ) from None
    names = tuple(name.strip() for name in heading[1:])
    if not 1 <= len(names) <= MOST_PARTS or len(set(names)) < len(names):
        raise UserError(
            f"--parts {path} names {len(names)} parts in its first line; give one to {MOST_PARTS}, "
            "as in class,object,motion"
        )
    table = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    lacking = [name for name in classes if len(table.get(name, ())) != len(names)]
    if lacking:
        raise UserError(
            f"--parts {path} has no line with {len(names)} parts for {some(lacking)}; give one for "
            "every class"
        )
    columns = [[table[name][i] for name in classes] for i in range(len(names))]
    return ClassParts(names, _numbers(columns), path.name)


def error_kinds(split: SplitEvaluation, parts: ClassParts) -> ErrorKinds:
    """Of every system of a split."""
    flags = list(product((True, False), repeat=len(parts.names)))
    same = parts.values[:, None] == parts.values[None]  # (C, C, parts)
    code = sum(~same[:, :, i] * 2 ** (len(parts.names) - 1 - i) for i in range(len(parts.names)))
    share, wrong = {}, {}
    for figures in split.figures:
        judged = figures.judged
        errors = ~judged.right
        kinds = code[split.labels[errors], judged.predicted[errors]]
        counted = np.bincount(kinds, minlength=len(flags)) / len(errors)
        share[figures.name] = tuple(float(value) for value in counted)
        wrong[figures.name] = float(errors.mean())
    others = ~np.eye(len(split.classes), dtype=bool)
    chance = np.zeros(len(flags))
    for label, videos in enumerate(np.bincount(split.labels, minlength=len(split.classes))):
        own = np.bincount(code[label][others[label]], minlength=len(flags))
        chance += videos / len(split.labels) * own / max(own.sum(), 1)
    # Parts need not tell every class apart: where they do, nothing wrong has all of them right.
    used = [i for i in range(len(flags)) if i or chance[0] > 0]
    return ErrorKinds(
        parts=parts,
        kinds=tuple(_words(parts.names, flags[i]) for i in used),
        share={name: tuple(values[i] for i in used) for name, values in share.items()},
        wrong=wrong,
        by_chance=tuple(float(chance[i]) for i in used),
    )


def _words(names: Sequence[str], right: Sequence[bool]) -> str:
    good = [name for name, flag in zip(names, right, strict=True) if flag]
    bad = [name for name, flag in zip(names, right, strict=True) if not flag]
    said = [f"{' and '.join(good)} right"] if good else []
    return ", ".join(said + ([f"{' and '.join(bad)} wrong"] if bad else []))


def _numbers(columns: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    indices = [np.unique(column, return_inverse=True)[1] for column in columns]
    return np.stack(indices, axis=1).astype(np.int64)
