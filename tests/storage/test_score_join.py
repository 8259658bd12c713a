from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_tables import same, table

from storage import ScoreTable, UserError
from storage.scores.joining import join


def test_joining_puts_rows_and_columns_in_order_by_name() -> None:
    first, second = table(), table(stream="temporal").rows([2, 0, 1])
    swapped = replace(
        second, classes=("walk", "run"), labels=1 - second.labels, scores=second.scores[:, ::-1]
    )
    joined = join([first, swapped])[1]
    same(replace(joined, stream="spatial"), first)


def of_run(stream: str, run: str, weights: str, step: int) -> ScoreTable:
    made = {"run": run, "weights": weights, "step": step}
    return replace(table(stream=stream), provenance=made)


def test_tables_of_one_run_but_other_weights_are_refused_together() -> None:
    first, again = of_run("early", "runs/a", "11", 10), of_run("late", "runs/a", "22", 20)
    message = (
        r"early and late are scores of one run, runs/a, but of two states of it: weights 11 "
        r"\(step 10\) and 22 \(step 20\); score both again with `twostream score runs/a`"
    )
    with pytest.raises(UserError, match=message):
        join([first, again])
    join([first, replace(first, stream="other views"), of_run("b", "runs/b", "22", 20)])
    join([first, replace(again, provenance={"run": "runs/a"})])  # of older tables nobody knows
    inner = replace(table(stream="fused"), provenance={"sources": {"late": again.provenance}})
    with pytest.raises(UserError, match="early and fused are scores of one run"):
        join([first, inner])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rows([0, 2]), "temporal lacks 1 videos that spatial has: b;"),
        (lambda t: replace(t, videos=("a", "b", "z")), "temporal lacks 1 .*: c;"),
        (
            lambda t: replace(t, labels=np.array([0, 0, 1])),
            "1 videos are labelled differently: b is walk in spatial and run in temporal",
        ),
        (
            lambda t: replace(t, classes=("run", "swim")),
            "temporal lacks walk; spatial lacks swim",
        ),
        (lambda t: replace(t, split=1), "spatial is of split 2 validation, temporal of split 1"),
        (lambda t: replace(t, part="test"), "only tables of the same videos"),
    ],
)
def test_what_does_not_fit_is_named(change: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        join([table(), change(table(stream="temporal"))])


def test_a_video_only_the_second_table_has_is_named_too() -> None:
    with pytest.raises(UserError, match="spatial lacks 1 videos that temporal has: c"):
        join([table().rows([0, 1]), table(stream="temporal")])


def test_common_videos_can_be_asked_for() -> None:
    one, two = join([table().rows([2, 0]), table(stream="t").rows([1, 2])], common_only=True)
    assert one.videos == two.videos == ("c",)
    with pytest.raises(UserError, match="no video in common"):
        join([table().rows([0]), table().rows([1])], common_only=True)


def test_nothing_to_join() -> None:
    with pytest.raises(UserError, match="at least one"):
        join([])
