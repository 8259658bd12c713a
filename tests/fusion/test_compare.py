"""Many systems against each other: pairs, letters, what each adds, conditions, kinds of errors."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_scores import accuracy, made_up
from numpy.typing import NDArray

import fusion
from fusion.compare import (
    additions,
    alike_groups,
    class_parts,
    compare,
    compare_splits,
    conditions,
    error_kinds,
    letters,
    on_frontier,
    read_parts,
)
from fusion.compare.strata import parts_of
from fusion.judge import holm, sign_flips
from fusion.judge.bootstrap import paired, resample, sign_flip
from storage import ScoreTable, UserError


def systems(**fields: object) -> list[ScoreTable]:
    skills = {"a": 0.3, "b": 1.0, "c": 1.1, "d": 2.5}
    return [made_up(n, videos=160, groups=40, skill=k, **fields) for n, k in skills.items()]  # type: ignore[arg-type]


def test_pairs_are_the_paired_tests_that_two_tables_alone_would_give() -> None:
    tables = systems()
    split = fusion.evaluate(tables, draws=300).splits[0]
    found = compare(split, 300, 0)
    counts = resample(split.groups, 300, 0)
    singles = []
    for a, b in combinations(range(4), 2):
        one, other = (split[found.names[k]].judged for k in (a, b))
        alone = paired("a", "b", one.right, other.right, split.group, counts)
        assert found.gain[a, b] == pytest.approx(alone.gain.value)
        assert found.low[a, b] == pytest.approx(alone.gain.low)
        assert found.high[a, b] == pytest.approx(alone.gain.high)
        assert (found.won[a, b], found.won[b, a]) == (alone.won, alone.lost)
        assert found.p[a, b] == pytest.approx(alone.p, abs=0.02)
        assert found.disagree[a, b] == (one.predicted != other.predicted).mean()
        singles.append(found.p[a, b])
    corrected = [found.p_holm[a, b] for a, b in combinations(range(4), 2)]
    assert corrected == pytest.approx(holm(singles))
    for square, sign in ((found.gain, -1), (found.p, 1), (found.p_holm, 1), (found.disagree, 1)):
        np.testing.assert_allclose(square, sign * square.T)
    np.testing.assert_allclose(found.low, -found.high.T)
    assert found.order[0] == 3


def test_holm_is_the_formula_written_out() -> None:
    """m, m - 1, ... times the sorted p, none smaller than one before, none over 1."""
    p = [0.04, 0.001, 0.03, 0.2, 0.011]
    rank = sorted(range(5), key=p.__getitem__)
    by_hand = {rank[k]: max(min(1.0, (5 - j) * p[rank[j]]) for j in range(k + 1)) for k in range(5)}
    assert holm(p) == pytest.approx([by_hand[i] for i in range(5)])
    assert holm(p) == pytest.approx([0.09, 0.005, 0.09, 0.2, 0.044])


def test_flips_shared_by_all_pairs_give_each_pair_its_own_p() -> None:
    generator = np.random.default_rng(3)
    by_group = generator.integers(0, 4, (60, 5)).astype(float)
    by_group[:, 4] = by_group[:, 3]
    by_group[:5, 4] += [1, 1, 1, 1, -1]  # five groups differ: every flip is gone through
    pairs = list(combinations(range(5), 2))
    for (a, b), p in zip(pairs, sign_flips(by_group, pairs), strict=True):
        alone, exact = sign_flip(by_group[:, a] - by_group[:, b])
        assert p == (alone if exact else pytest.approx(alone, abs=0.015))
    assert sign_flips(by_group, [(3, 4)]) == [12 / 32]


def test_a_group_that_several_splits_test_counts_once() -> None:
    """Three copies of one split say no more than one of them."""
    one = systems()
    copies = [replace(t, split=k) for k in (1, 2, 3) for t in one]
    judged = fusion.evaluate(copies, draws=200)
    alone = compare(judged.splits[0], 200, 0)
    found = compare_splits(judged.splits, alone.names, 200, 0)
    np.testing.assert_allclose(found.gain, alone.gain)
    np.testing.assert_allclose(found.p, alone.p, atol=0.02)
    np.testing.assert_allclose(found.low, alone.low)
    fresh = [
        replace(t, split=k, groups=tuple(f"{k}/{g}" for g in t.groups))
        for k in (1, 2, 3)
        for t in one
    ]
    judged = fusion.evaluate(fresh, draws=200)
    more = compare_splits(judged.splits, alone.names, 200, 0)
    b, c = (alone.names.index(n) for n in ("b", "c"))
    assert more.high[b, c] - more.low[b, c] < 0.8 * (found.high[b, c] - found.low[b, c])


graphs = st.integers(1, 9).flatmap(
    lambda n: st.lists(st.booleans(), min_size=n * n, max_size=n * n).map(
        lambda flags: np.triu(np.array(flags, bool).reshape(n, n), 1)
    )
)


@settings(max_examples=40, deadline=None)
@given(upper=graphs)
def test_systems_share_a_letter_if_and_only_if_they_cannot_be_told_apart(
    upper: NDArray[np.bool_],
) -> None:
    apart = upper | upper.T
    groups = alike_groups(apart)
    labels = letters(groups, len(apart))
    assert all(labels)
    for a, b in combinations(range(len(apart)), 2):
        assert bool(set(labels[a]) & set(labels[b])) == (not apart[a, b])
    for group in groups:  # no letter could be left out
        others = [other for other in groups if other is not group]
        held = {pair for other in others for pair in combinations(other, 2)}
        assert len(group) == 1 or not set(combinations(group, 2)) <= held


def test_letters_of_a_ranking_run_along_it() -> None:
    """Neighbours alike, others apart: ab, as in every textbook."""
    apart = abs(np.subtract.outer(np.arange(4), np.arange(4))) > 1
    assert letters(alike_groups(apart), 4) == ["a", "ab", "bc", "c"]
    assert letters(alike_groups(np.zeros((3, 3), bool)), 3) == ["a", "a", "a"]
    assert letters(alike_groups(~np.eye(60, dtype=bool)), 60)[51:54] == ["Z", "a1", "b1"]


def test_what_a_system_adds_is_the_average_with_it_less_the_average_without() -> None:
    tables = systems()
    split = fusion.evaluate([*tables, fusion.average(tables)], draws=200).splits[0]
    found = additions(split, 200, 0)
    assert found is not None
    assert found.names == ("a", "b", "c", "d")  # a fusion is no system to add
    everything = accuracy(fusion.average(tables))
    assert found.everything == pytest.approx(everything)
    rights = np.array([split[n].judged.right for n in found.names])
    for i, test in enumerate(found.added):
        rest = accuracy(fusion.average([t for k, t in enumerate(tables) if k != i]))
        assert test.gain.value == pytest.approx(everything - rest)
        others = np.delete(rights, i, axis=0).any(axis=0)
        assert found.only[i] == (rights[i] & ~others).sum()
        for k in range(4):
            pair = accuracy(tables[i] if k == i else fusion.average([tables[i], tables[k]]))
            assert found.together[i, k] == pytest.approx(pair)
    assert [t.p_holm for t in found.added] == pytest.approx(holm([t.p for t in found.added]))


def test_a_copy_adds_nothing_and_scores_of_any_kind_can_be_added() -> None:
    one, two = made_up("one", videos=90), made_up("two", videos=90)
    found = additions(fusion.evaluate([one, two], draws=100).splits[0], 100, 0)
    assert found is not None
    twin = replace(one, stream="twin")
    twins = additions(fusion.evaluate([one, twin], draws=100).splits[0], 100, 0)
    assert twins is not None
    assert [test.gain.value for test in twins.added] == [0, 0]
    assert twins.only.tolist() == [0, 0]
    margins = replace(two, kind="scores")
    ranked = additions(fusion.evaluate([one, margins], draws=100).splits[0], 100, 0)
    assert ranked is not None
    assert (found.normalise, ranked.normalise) == ("softmax", "zscore")
    assert additions(fusion.evaluate([one], draws=100).splits[0], 100, 0) is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 6), st.just(None)), min_size=1, max_size=60))
def test_parts_hold_equal_values_together_and_rise(values: list[int | None]) -> None:
    column = np.array([np.nan if v is None else v for v in values], float)
    part = parts_of(column)
    if part is None:
        return
    assert ((part >= 0) == np.isfinite(column)).all()
    assert np.bincount(part[part >= 0]).min() >= 5
    for i in range(part.max()):
        assert column[part == i].max() < column[part == i + 1].min()


def test_accuracy_under_a_condition_is_that_of_its_videos() -> None:
    """A system that is right on long videos only."""
    table = made_up("a", videos=120, classes=4, groups=60)
    length = np.arange(120, dtype=float)
    length[:10] = np.nan
    right = length >= 70
    guess = np.where(right, table.labels, (table.labels + 1) % 4)
    table = replace(table, scores=np.eye(4, dtype=np.float32)[guess])
    split = fusion.evaluate([table], draws=100).splits[0]
    facts = {("Length", "s"): length, ("Nothing", ""): np.full(120, 2.0)}
    (found,) = conditions(split, facts, 100, 0)
    assert (found.name, found.unknown, sum(found.videos)) == ("Length", 10, 110)
    for low, high, measure in zip(found.low, found.high, found.accuracy["a"], strict=True):
        inside = (length >= low) & (length <= high)
        assert measure.value == right[inside].mean()
        assert measure.low is not None
    assert found.accuracy["a"][-1].value == 1
    assert found.accuracy["a"][0].value == 0


NAMES = ("RedUp", "RedDown", "BlueUp", "BlueDown", "GreenUp", "GreenDown")


def test_parts_are_read_from_names_that_are_a_product_and_from_no_others() -> None:
    parts = class_parts(NAMES)
    assert parts is not None
    same = parts.values[:, None] == parts.values[None]
    for i, j in combinations(range(6), 2):
        assert same[i, j].tolist() == [i // 2 == j // 2, i % 2 == j % 2]
    for other in (
        ("ApplyEyeMakeup", "Archery", "BabyCrawling"),
        tuple(f"class_{i:03d}" for i in range(6)),
        ("fight", "noFight"),
        ("a b", "c d", "a d", "e f"),
    ):
        assert class_parts(other) is None


def test_errors_are_counted_by_what_is_right_in_them() -> None:
    labels = np.array([0, 0, 0, 0, 1, 2])
    answers = np.array([0, 1, 2, 3, 0, 5])
    table = replace(
        made_up("a", videos=6, classes=6, groups=6),
        labels=labels, classes=NAMES, scores=np.eye(6, dtype=np.float32)[answers],
    )  # fmt: skip
    parts = class_parts(NAMES)
    assert parts is not None
    found = error_kinds(fusion.evaluate([table], draws=100).splits[0], parts)
    share = dict(zip(found.kinds, found.share["a"], strict=True))
    assert share == pytest.approx({
        "first word right, second word wrong": 2 / 6,
        "second word right, first word wrong": 1 / 6,
        "first word and second word wrong": 2 / 6,
    })  # fmt: skip
    assert found.wrong["a"] == pytest.approx(sum(share.values()))
    # of five wrong classes one has the first word, two the second, two neither
    assert found.by_chance == pytest.approx((1 / 5, 2 / 5, 2 / 5))


def test_parts_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "parts.csv"
    path.write_text("class,object,motion\nswim,water,fast\nfloat,water,slow\nrun,land,fast\n")
    parts = read_parts(path, ("run", "swim", "float"))
    assert parts.names == ("object", "motion")
    assert parts.values[1, 0] == parts.values[2, 0] != parts.values[0, 0]
    assert parts.values[0, 1] == parts.values[1, 1] != parts.values[2, 1]
    for text, message in [
        ("class,object\nswim,water\n", "no line with 1 parts for run, float"),
        ("class\nswim\n", "names 0 parts"),
        ("", "no CSV file"),
    ]:
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_parts(path, ("run", "swim", "float"))
    with pytest.raises(UserError, match="cannot be read"):
        read_parts(tmp_path / "absent.csv", ("run",))


def test_the_frontier_is_what_no_other_beats_for_its_cost() -> None:
    assert on_frontier([1, 2, 2, 3], [0.5, 0.6, 0.4, 0.6]) == [True, True, False, False]
    assert on_frontier([1, 1], [0.5, 0.5]) == [True, True]
