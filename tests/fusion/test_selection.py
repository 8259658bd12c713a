"""The greedy ensemble: what it chooses, and that it never looks at what it is judged on."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest
from made_up_scores import accuracy, made_up

import fusion
from fusion.report.ensemble import find_ensemble
from fusion.scores.selection import ensemble_path, greedy, group_folds
from storage import ScoreTable, UserError

SKILLS = {"a": 1.2, "b": 1.2, "noise": 0.0, "c": 0.9}


def library(part: str, **fields: object) -> list[ScoreTable]:
    return [
        made_up(name, part=part, videos=200, groups=50, skill=skill, **fields)  # type: ignore[arg-type]
        for name, skill in SKILLS.items()
    ]


def test_each_member_is_the_one_that_helps_most() -> None:
    fit = library("validation")
    path = ensemble_path(fit, "softmax", most=5)
    for k in range(5):
        before = [fit[m] for m in path.members[:k]]
        tried = [mean_of([*before, table]) for table in fit]
        assert path.fitted[k] == pytest.approx(max(tried))
        assert tried[path.members[k]] == max(tried)
    assert "noise" not in [fit[m].stream for m in path.chosen]


def mean_of(tables: list[ScoreTable]) -> float:
    unlike = [replace(t, stream=f"{t.stream}{i}", provenance={}) for i, t in enumerate(tables)]
    return accuracy(fusion.average(unlike))


def test_the_table_is_the_average_of_the_ensemble() -> None:
    tables, fit = library("test"), library("validation")
    fused = greedy(tables, fit)
    said = fused.provenance["fusion"]
    assert said["method"] == "greedy"
    assert said["fit"]["part"] == "validation"
    assert not said["fit"]["leak"]
    assert sum(said["weights"]) == pytest.approx(1, abs=1e-4)
    by_name = {t.stream: t for t in tables}
    average = fusion.average([by_name[n] for n in said["streams"]], said["weights"])
    np.testing.assert_allclose(fused.scores, average.scores, atol=1e-5)
    assert accuracy(fused) > max(accuracy(t) for t in tables)


def test_it_never_sees_the_labels_that_it_is_judged_on() -> None:
    """A planted control: a system that is perfect on the test part and useless on validation is
    not chosen, and other test labels change nothing in the choice."""
    tables, fit = library("test"), library("validation")
    perfect = made_up("cheat", part="test", videos=200, groups=50, skill=50.0)
    useless = made_up("cheat", part="validation", videos=200, groups=50, skill=-1.0)
    fused = greedy([*tables, perfect], [*fit, useless])
    assert "cheat" not in fused.provenance["fusion"]["streams"]
    shuffled = np.random.default_rng(0).permutation(tables[0].labels)
    others = [replace(t, labels=shuffled) for t in (*tables, perfect)]
    again = greedy(others, [*fit, useless])
    assert again.provenance == fused.provenance
    np.testing.assert_array_equal(again.scores, fused.scores)


def test_the_test_part_is_refused_and_so_are_its_groups() -> None:
    tables = library("test")
    with pytest.raises(UserError, match="--fit-on-test"):
        greedy(tables)
    with pytest.raises(UserError, match="test part"):
        greedy(tables, tables)
    fit = library("validation")
    shared = [replace(t, groups=(*tables[0].groups[:100], *t.groups[100:])) for t in fit]
    fused = greedy(tables, shared)
    assert fused.provenance["fusion"]["fit"]["left_out_of_test_groups"] == 100


def test_folds_cut_no_group_and_the_length_is_best_on_them() -> None:
    group = np.arange(40) // 4
    folds = group_folds(group)
    assert np.sum(folds, axis=0).tolist() == [1] * 40
    for fold in folds:
        assert not set(group[fold]) & set(group[~fold])
    assert group_folds(np.zeros(5, np.int64)) == []
    path = ensemble_path(library("validation"), "logits")
    assert len(path.held) == len(path.members) == 16
    assert path.held[path.length - 1] == max(path.held)
    assert max(path.held[: path.length - 1], default=0) < max(path.held)
    one = [replace(t, groups=("g",) * 200) for t in library("validation")]
    alone = ensemble_path(one, "softmax")
    assert alone.held == ()
    assert alone.fitted[alone.length - 1] == max(alone.fitted)


def test_no_two_systems_beat_the_choice_of_two_by_much() -> None:
    """Greedy is not exhaustive, but near: of all pairs on the same videos."""
    fit = library("validation")
    path = ensemble_path(fit, "softmax", most=2)
    pairs = [mean_of(list(pair)) for pair in combinations_with_replacement(fit, 2)]
    assert path.fitted[1] >= max(pairs) - 0.02


def test_the_report_judges_every_length_and_tests_against_the_best_of_validation() -> None:
    tables, fit = library("test"), library("validation")
    split = fusion.evaluate(tables, draws=200).splits[0]
    found, reason = find_ensemble(split, fit, 200, 0)
    assert found is not None
    assert reason == ""
    for k in (0, 2):
        members = [tables[m] for m in found.path.members[: k + 1]]
        unlike = [replace(t, stream=f"{i}") for i, t in enumerate(members)]
        fused = fusion.average(unlike, normalise=found.normalise)
        assert found.accuracy[k].value == pytest.approx(accuracy(fused), abs=0.005)
    best = max(fit, key=accuracy).stream
    assert found.test.against == best
    assert sum(found.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("singles", "fitted", "reason"),
    [
        (1, 1, "is the only single stream of this split, so there is nothing to add"),
        (3, 0, "there are no scores to choose on"),
        (3, 1, "has validation scores in --fit, and two are needed; without are"),
    ],
)
def test_without_an_ensemble_it_is_said_why(singles: int, fitted: int, reason: str) -> None:
    tables, fit = library("test"), library("validation")
    split = fusion.evaluate(tables[:singles], draws=100).splits[0]
    found, said = find_ensemble(split, fit[:fitted], 100, 0)
    assert found is None
    assert reason in said
    assert tables[0].stream in said


def test_tables_that_may_not_be_learned_from_give_no_ensemble_and_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tables = library("test")
    split = fusion.evaluate(tables, draws=100).splits[0]
    with caplog.at_level("WARNING"):
        found, reason = find_ensemble(split, tables, 100, 0)
    assert found is None
    assert reason in caplog.text
    assert "no ensemble is chosen" in caplog.text
