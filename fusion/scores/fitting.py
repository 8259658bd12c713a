"""What a fusion may learn from: never the test part, unless the caller says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fusion.judge import group_names
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
    for name, table, fused in zip(names, chosen, tables, strict=True):
        if fit is not None and table.stream and table.stream != name:
            raise UserError(
                f"--fit gives {table.stream} where {name} is meant; give the validation tables in "
                "the order of the streams"
            )
        if fit is not None:
            check_run(name, table, fused)
    check_same_weights(tables)
    check_same_weights(chosen)
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
    kept = joined
    if fit is not None and not leak:
        kept = without_groups(joined, tables)
    return kept, {
        "part": part,
        "split": joined[0].split,
        "videos": len(kept[0].videos),
        "left_out_of_test_groups": len(joined[0].videos) - len(kept[0].videos),
        "out_of_fold": bool(part == "train" and out_of_fold),
        "same_videos": bool(shared),
        "leak": leak,
    }


def check_run(name: str, fit: ScoreTable, fused: ScoreTable) -> None:
    """A weight that is found on one network's scores says nothing of another's."""
    if fit.provenance.get("out_of_fold"):
        return
    for key in ("weights", "run"):
        one, other = fit.provenance.get(key), fused.provenance.get(key)
        if isinstance(one, str) and isinstance(other, str):
            if one != other:
                raise UserError(
                    f"--fit {name} was scored with {key} {one}, the table to fuse with {other}; "
                    "score both parts with one run, or mark scores of other runs as --out-of-fold"
                )
            return


def without_groups(joined: list[ScoreTable], tables: Sequence[ScoreTable]) -> list[ScoreTable]:
    """Without the videos whose source the test part has, too: HMDB-51 cuts clips of both parts
    from one film."""
    test = set(group_names(tables)[0])
    rows = [i for i, group in enumerate(group_names(joined)[0]) if group not in test]
    if not rows:
        raise UserError(
            "all videos to fit on are of groups that the tables to fuse hold, too; give --fit "
            "scores of other sources"
        )
    return joined if len(rows) == len(joined[0].videos) else [t.rows(rows) for t in joined]


def _why_not(part: str, shared: Sequence[str], given: bool, streams: int) -> str:
    wanted = " ".join(f"VALIDATION_{chr(65 + i % 26)}.npz" for i in range(streams))
    remedy = (
        f"give validation scores with --fit {wanted}, or say --fit-on-test and have it marked "
        "in red in the report"
    )
    if given and part != "test":
        return f"--fit shares videos with the tables to fuse ({some(shared)}); {remedy}"
    return f"fitting on a test part would judge a fusion on what it learned from; {remedy}"
