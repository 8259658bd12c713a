"""What learns from scores: searched weights and the SVM, and what they may learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_up_scores import accuracy, made_up

from fusion.judge.groups import indices
from fusion.judge.metrics import judge
from fusion.judge.provenance import fitted_on
from fusion.scores.folds import by_folds, fold_rows
from fusion.scores.grouped_svm import best_temperature
from fusion.scores.linear_svm import LinearSVMFusion, svm
from fusion.scores.weighting import best_weights, weight_grid, weighted
from storage import ScoreTable, UserError

STREAMS = ("spatial", "temporal")
FITTED = pytest.mark.parametrize("fuse", [weighted, svm], ids=["weighted", "svm"])
Fuse = Callable[..., ScoreTable]


def two_streams() -> list[ScoreTable]:
    return [made_up(s, videos=100, skill=k) for s, k in zip(STREAMS, (0.8, 1.6), strict=True)]


def validation(**fields: Any) -> list[ScoreTable]:
    return [
        made_up(s, part="validation", videos=120, skill=k, **fields)
        for s, k in zip(STREAMS, (0.8, 1.6), strict=True)
    ]


@FITTED
def test_fitting_on_validation_is_noted_and_helps(fuse: Fuse) -> None:
    tables = two_streams()
    fused = fuse(tables, validation())
    assert fused.videos == tables[0].videos
    fit = fused.provenance["fusion"]["fit"]
    assert {k: fit[k] for k in ("part", "split", "videos", "leak", "same_videos")} == {
        "part": "validation", "split": 1, "videos": 120, "leak": False, "same_videos": False,
    }  # fmt: skip
    assert accuracy(fused) > max(accuracy(t) for t in tables) - 0.05


@FITTED
def test_only_the_tables_to_fit_on_decide(fuse: Fuse) -> None:
    """The stream that is good on validation is believed, though the other is good on test."""
    tables = [made_up(s, videos=100, skill=k) for s, k in zip(STREAMS, (0.0, 2.0), strict=True)]
    fit = [
        made_up(s, part="validation", videos=120, skill=k)
        for s, k in zip(STREAMS, (3.0, 0.0), strict=True)
    ]
    fused = fuse(tables, fit)
    said = [(fused.scores.argmax(1) == t.scores.argmax(1)).mean() for t in tables]
    assert said[0] > said[1] + 0.2


@FITTED
def test_a_test_part_is_refused_with_the_command_to_give(fuse: Fuse) -> None:
    message = r"--fit VALIDATION_A.npz VALIDATION_B.npz, or say --fit-on-test"
    with pytest.raises(UserError, match=message):
        fuse(two_streams())


@FITTED
def test_a_leak_that_was_asked_for_is_marked(fuse: Fuse) -> None:
    fused = fuse(two_streams(), fit_on_test=True)
    assert fused.provenance["fusion"]["fit"]["leak"] is True


@FITTED
def test_validation_scores_that_are_test_videos_in_disguise_are_refused(fuse: Fuse) -> None:
    tables = two_streams()
    disguised = [replace(t, part="validation").rows(range(50)) for t in tables]
    with pytest.raises(UserError, match="--fit shares videos with the tables to fuse"):
        fuse(tables, disguised)
    assert fuse(tables, disguised, fit_on_test=True).provenance["fusion"]["fit"]["leak"] is True


@FITTED
def test_training_scores_must_be_out_of_fold(fuse: Fuse) -> None:
    train = [replace(t, part="train") for t in validation()]
    with pytest.raises(UserError, match=r"learned by heart.*--out-of-fold"):
        fuse(two_streams(), train)
    marked = [replace(t, provenance={"out_of_fold": True}) for t in train]
    assert fuse(two_streams(), marked).provenance["fusion"]["fit"]["out_of_fold"] is True


@FITTED
def test_validation_tables_may_be_fitted_on_themselves(fuse: Fuse) -> None:
    fit = fuse(validation()).provenance["fusion"]["fit"]
    assert (fit["leak"], fit["same_videos"]) == (False, True)


def test_tables_to_fit_on_must_match_the_streams() -> None:
    with pytest.raises(UserError, match="1 tables to fit on for 2 streams"):
        weighted(two_streams(), validation()[:1])
    with pytest.raises(UserError, match="--fit gives temporal where spatial is meant"):
        weighted(two_streams(), validation()[::-1])
    other = [replace(t, classes=tuple("abcde")) for t in validation()]
    with pytest.raises(UserError, match="--fit spatial lacks Class0"):
        weighted(two_streams(), other)


def test_columns_of_the_tables_to_fit_on_are_put_in_order() -> None:
    swapped = [
        replace(t, classes=t.classes[::-1], scores=t.scores[:, ::-1], labels=4 - t.labels)
        for t in validation()
    ]
    np.testing.assert_allclose(
        svm(two_streams(), swapped).scores, svm(two_streams(), validation()).scores, atol=1e-4
    )


def test_the_search_finds_the_better_stream_and_the_middle_of_its_region() -> None:
    labels = np.arange(90) % 3
    truth = np.eye(3)[labels]
    noise = np.random.default_rng(0).random((90, 3))
    weights, accuracy = best_weights([noise, truth], labels)
    assert accuracy == 1.0
    assert weights[1] > 0.6
    assert sum(weights) == pytest.approx(1)
    three, _ = best_weights([noise, truth, noise[::-1]], labels)
    assert np.argmax(three) == 1


@pytest.mark.parametrize(("streams", "points"), [(1, 1), (2, 101), (3, 231), (4, 286), (6, 126)])
def test_the_grid_covers_the_simplex(streams: int, points: int) -> None:
    grid = weight_grid(streams)
    assert grid.shape == (points, streams)
    np.testing.assert_allclose(grid.sum(axis=1), 1)
    assert len(np.unique(grid, axis=0)) == points
    assert grid.min() == 0 or streams == 1


def test_c_is_chosen_on_folds_that_never_cut_a_group() -> None:
    machine = LinearSVMFusion(grid=(0.1, 1.0))
    machine.fit(validation())
    assert set(machine.cross_validated) == {"0.1", "1"}
    assert machine.c in (0.1, 1.0)
    group = np.arange(120) // 10
    for train, held in machine.machine._folds(validation()[0].labels, group):
        assert not set(group[train]) & set(group[held])


def test_a_small_validation_part_with_one_group_a_class_leaves_c_at_1() -> None:
    """Two clips of one scene a class: nothing can be held out, and nothing must break."""
    tables = [
        replace(table, groups=tuple(f"class {label}" for label in table.labels))
        for table in validation()
    ]
    machine = LinearSVMFusion(seed=1).fit(tables)
    assert (machine.c, machine.cross_validated, machine.temperature) == (1.0, {}, 1.0)


def test_the_svm_gives_probabilities_that_hold_on_new_videos() -> None:
    fused = svm(two_streams(), validation())
    judged = judge(fused)
    assert fused.kind == "logits"
    assert abs(judged.confidence.mean() - judged.right.mean()) < 0.12


def test_a_class_that_the_fit_never_saw_comes_last_and_is_named() -> None:
    fit = [t.rows(np.flatnonzero(t.labels != 2)) for t in validation()]
    fused = svm(two_streams(), fit)
    assert fused.provenance["fusion"]["classes_not_fitted"] == ["Class2"]
    assert (fused.scores.argmin(axis=1) == 2).all()


def test_two_classes_and_one_class() -> None:
    tables = [made_up(s, classes=2) for s in STREAMS]
    fit = [made_up(s, classes=2, part="validation") for s in STREAMS]
    assert accuracy(svm(tables, fit)) > 0.7
    one = [t.rows(np.flatnonzero(t.labels == 0)) for t in fit]
    with pytest.raises(UserError, match="a single class"):
        svm(tables, one)


def test_one_group_leaves_no_fold_and_takes_the_usual_c() -> None:
    fit = [replace(t, groups=("g",) * 120) for t in validation()]
    fused = svm(two_streams(), fit)
    assert fused.provenance["fusion"]["C"] == 1.0


def test_fuse_before_fit_is_an_error() -> None:
    with pytest.raises(UserError, match="call fit"):
        LinearSVMFusion().fuse(two_streams())


def test_the_temperature_undoes_a_scale() -> None:
    generator = np.random.default_rng(0)
    z = generator.normal(size=(4000, 4)) * 2
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    labels = (p.cumsum(1) > generator.random((4000, 1))).argmax(1)
    assert best_temperature(3 * z, labels) == pytest.approx(3, rel=0.1)


@FITTED
def test_videos_of_a_source_that_the_test_part_has_are_left_out(fuse: Fuse) -> None:
    """HMDB-51's parts share films: fitting on them would know the test part's."""
    tables, fit = two_streams(), validation()
    shared = tuple("g0" if i % 2 else name for i, name in enumerate(fit[0].groups))
    fit = [replace(t, groups=shared) for t in fit]
    alone = [t.rows(range(0, 120, 2)) for t in fit]
    fused = fuse(tables, fit)
    note = fused.provenance["fusion"]["fit"]
    assert (note["videos"], note["left_out_of_test_groups"], note["leak"]) == (60, 60, False)
    np.testing.assert_array_equal(fused.scores, fuse(tables, alone).scores)
    with pytest.raises(UserError, match="all videos to fit on are of groups"):
        fuse(tables, [replace(t, groups=("g0",) * 120) for t in fit])


@FITTED
def test_scores_of_another_run_say_nothing_of_this_one(fuse: Fuse) -> None:
    def of(tables: list[ScoreTable], weights: str, **more: Any) -> list[ScoreTable]:
        return [replace(t, provenance={"weights": weights, "run": "r", **more}) for t in tables]

    tables = of(two_streams(), "aaaa")
    with pytest.raises(UserError, match="--fit spatial was scored with weights bbbb"):
        fuse(tables, of(validation(), "bbbb"))
    assert fuse(tables, of(validation(), "aaaa")).provenance["fusion"]["fit"]["videos"] == 120
    train = of([replace(t, part="train") for t in validation()], "bbbb", out_of_fold=True)
    assert fuse(tables, train).provenance["fusion"]["fit"]["out_of_fold"] is True


@pytest.mark.parametrize("method", ["weighted", "svm"])
def test_out_of_folds_no_video_is_fused_by_what_its_own_group_taught(method: Any) -> None:
    """Each fold equals the fusion that is fitted on the others and on nothing else."""
    tables, how = two_streams(), "softmax"
    fused = by_folds(tables, method, how, 4)
    note = fused.provenance["fusion"]["fit"]
    assert (note["folds"], note["leak"], note["part"]) == (4, False, "test")
    assert fitted_on(fused.provenance["fusion"]) == "other groups of the test part, in 4 folds"
    groups = np.array(tables[0].groups)
    folds = fold_rows(tables[0].labels, indices(tables[0].groups), 4, 0)
    assert sorted(np.concatenate(folds)) == list(range(100))
    for held in folds:
        others = np.setdiff1d(np.arange(100), held)
        assert not set(groups[held]) & set(groups[others])
        fit = [replace(t.rows(others), part="validation") for t in tables]
        alone = FITTED_BY[method]([t.rows(held) for t in tables], fit, how)
        np.testing.assert_allclose(fused.scores[held], alone.scores, rtol=1e-6)


FITTED_BY: dict[str, Fuse] = {"weighted": weighted, "svm": svm}


def test_folds_know_their_limits() -> None:
    train = [replace(t, part="train") for t in two_streams()]
    with pytest.raises(UserError, match="learned by heart"):
        by_folds(train, "svm", "l2")
    with pytest.raises(UserError, match=r"--folds 30 must be from 2 to 20, .*20 groups in all"):
        by_folds(two_streams(), "svm", "l2", 30)
    alone = [replace(t, groups=tuple(f"{x}" for x in t.labels)) for t in two_streams()]
    with pytest.raises(UserError, match="two groups of every class"):
        by_folds(alone, "svm", "l2", 2)
