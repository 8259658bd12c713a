"""Bringing several score tables into the same rows and columns, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np

from storage.errors import UserError
from storage.scores.table import ScoreTable, some


def table_name(table: ScoreTable, position: int) -> str:
    return table.stream or f"table {position + 1}"


def join(tables: Sequence[ScoreTable], *, common_only: bool = False) -> list[ScoreTable]:
    """The tables with the videos and the classes of the first one, in its order.

    A video that one table lacks or labels differently is named in an error. `common_only` keeps
    the videos that every table has, instead. Columns are put in order by class name.
    """
    if not tables:
        raise UserError("no score table was given; give at least one")
    names = [table_name(table, i) for i, table in enumerate(tables)]
    check_same_weights(tables)
    first = tables[0]
    for name, table in zip(names[1:], tables[1:], strict=True):
        if (table.split, table.part) != (first.split, first.part):
            raise UserError(
                f"{names[0]} is of split {first.split} {first.part}, {name} of split "
                f"{table.split} {table.part}; only tables of the same videos can be joined"
            )
    ordered = [
        same_classes(table, first, name, names[0])
        for name, table in zip(names, tables, strict=True)
    ]
    row_of = [{video: i for i, video in enumerate(table.videos)} for table in ordered]
    videos = list(first.videos)
    if common_only:
        videos = [video for video in videos if all(video in rows for rows in row_of)]
        if not videos:
            raise UserError(f"{', '.join(names)} have no video in common")
    for name, rows in zip(names, row_of, strict=True):
        missing = [video for video in videos if video not in rows]
        extra = [] if common_only else [video for video in rows if video not in row_of[0]]
        for lacking, absent in ((name, missing), (names[0], extra)):
            if absent:
                other = names[0] if lacking == name else name
                raise UserError(
                    f"{lacking} lacks {len(absent)} videos that {other} has: {some(absent)}; "
                    "score them, or judge only the videos that all tables have with --common-videos"
                )
    joined = [
        table.rows([rows[video] for video in videos])
        for table, rows in zip(ordered, row_of, strict=True)
    ]
    for name, table in zip(names[1:], joined[1:], strict=True):
        wrong = np.flatnonzero(table.labels != joined[0].labels)
        if len(wrong):
            at = wrong[0]
            raise UserError(
                f"{len(wrong)} videos are labelled differently: {videos[at]} is "
                f"{first.classes[joined[0].labels[at]]} in {names[0]} and "
                f"{first.classes[table.labels[at]]} in {name} "
                f"({some(videos[i] for i in wrong)}); correct the labels of one table"
            )
    return joined


def check_same_weights(tables: Sequence[ScoreTable]) -> None:
    """Raise UserError where two tables are of one run, but of other weights of it: a run that was
    scored before and after it went on, or that was trained anew in the same folder."""
    seen: dict[str, tuple[str, str]] = {}
    for position, table in enumerate(tables):
        name = table_name(table, position)
        for run, weights, step in weights_in(table.provenance):
            at = f"{weights} (step {step})"
            other, before = seen.setdefault(run, (name, at))
            if before.partition(" ")[0] != weights:
                raise UserError(
                    f"{other} and {name} are scores of one run, {run}, but of two states of it: "
                    f"weights {before} and {at}; score both again with `twostream score {run}`"
                )


def weights_in(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str, object]]:
    """(run, hash of its weights, step) of a table, and of the tables that it was fused from."""
    run, weights = provenance.get("run"), provenance.get("weights")
    if isinstance(run, str) and run and isinstance(weights, str):
        yield run, weights, provenance.get("step", "unknown")
    sources = provenance.get("sources")
    for source in sources.values() if isinstance(sources, dict) else ():
        if isinstance(source, dict):
            yield from weights_in(source)


def same_classes(table: ScoreTable, model: ScoreTable, name: str, model_name: str) -> ScoreTable:
    """The table with its columns in the order of `model`'s classes."""
    if table.classes == model.classes:
        return table
    lacking = [c for c in model.classes if c not in set(table.classes)]
    extra = [c for c in table.classes if c not in set(model.classes)]
    if lacking or extra:
        parts = [f"{name} lacks {some(lacking)}"] * bool(lacking)
        parts += [f"{model_name} lacks {some(extra)}"] * bool(extra)
        raise UserError(
            f"{name} has {len(table.classes)} classes, {model_name} {len(model.classes)}, and "
            f"their names differ: {'; '.join(parts)}. Give both the same class list"
        )
    column = {c: i for i, c in enumerate(table.classes)}
    order = np.array([column[c] for c in model.classes])
    place = np.argsort(order)  # old column -> new column
    return replace(
        table, classes=model.classes, scores=table.scores[:, order], labels=place[table.labels]
    )


def unique_names(tables: Sequence[ScoreTable]) -> list[ScoreTable]:
    """The tables with names that tell them apart: `fusion`, `fusion (run-sum)`, `fusion (3)`."""
    taken: set[str] = set()
    named = []
    for position, table in enumerate(tables):
        name = table_name(table, position)
        run = PurePath(str(table.provenance.get("run", ""))).name
        numbered = (f"{name} ({k})" for k in range(2, len(tables) + 2))
        choices = (name, *([f"{name} ({run})"] if run else []), *numbered)
        unique = next(choice for choice in choices if choice not in taken)
        taken.add(unique)
        named.append(replace(table, stream=unique))
    return named
