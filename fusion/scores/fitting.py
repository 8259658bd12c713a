"""What a fusion may learn from: never the test part, unless the caller says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from storage.errors import UserError
from storage.scores import ScoreTable, check_same_weights, join, same_classes, some, table_name


def fit_tables(
    tables: Sequence[ScoreTable],
    fit: Sequence[ScoreTable] | None,
    *,
    fit_on_test: bool = False,
    common_only: bool = False,
) -> tuple[list[ScoreTable], dict[str, Any]]:
    """The joined tables to fit on, and what to say of them in `made["fusion"]["fit"]`.

    `fit` has one table a stream, in the order of `tables`, of a validation part or of out-of-fold
    training scores; None fits on `tables` themselves, which must then be such a part. A test part
    is taken only with `fit_on_test`, and `leak` is then true.
    """
    chosen = list(tables if fit is None else fit)
    names = [table_name(table, i) for i, table in enumerate(tables)]
    if len(chosen) != len(tables):
        raise UserError(
            f"{len(chosen)} tables to fit on for {len(tables)} streams; give --fit one for each "
            f"of {', '.join(names)}, in the same order"
        )
    for name, table in zip(names, chosen, strict=True):
        if fit is not None and table.stream and table.stream != name:
            raise UserError(
                f"--fit gives {table.stream} where {name} is meant; give the validation tables in "
                "the order of the streams"
            )
    check_same_weights([*tables, *chosen])
    joined = join(chosen, common_only=common_only)
    joined = [
        same_classes(t, tables[0], f"--fit {n}", n) for n, t in zip(names, joined, strict=True)
    ]
    part, test = joined[0].part, set(tables[0].videos)
    shared = [video for video in joined[0].videos if video in test]
    leak = part == "test" or (bool(shared) and fit is not None)
    if leak and not fit_on_test:
        raise UserError(_why_not(part, shared, fit is not None, len(tables)))
    out_of_fold = all(table.provenance.get("out_of_fold") for table in joined)
    if part == "train" and not out_of_fold:
        raise UserError(
            "the tables to fit on are of the train part: scores of videos that a stream has "
            "learned by heart say nothing of its worth. Give a validation part, or scores of "
            "models that did not see these videos, marked with --out-of-fold"
        )
    return joined, {
        "part": part,
        "split": joined[0].split,
        "videos": len(joined[0].videos),
        "out_of_fold": bool(part == "train" and out_of_fold),
        "same_videos": bool(shared),
        "leak": leak,
    }


def _why_not(part: str, shared: Sequence[str], given: bool, streams: int) -> str:
    wanted = " ".join(f"VALIDATION_{chr(65 + i % 26)}.npz" for i in range(streams))
    remedy = (
        f"give validation scores with --fit {wanted}, or say --fit-on-test and have it marked "
        "in red in the report"
    )
    if given and part != "test":
        return f"--fit shares videos with the tables to fuse ({some(shared)}); {remedy}"
    return f"fitting on a test part would judge a fusion on what it learned from; {remedy}"
