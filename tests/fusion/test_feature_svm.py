"""A linear SVM on features side by side, and that it learns from the training part alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from feature_material import Made, config, names, write_made, write_store
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from fusion.features import FeatureSVM, feature_rows
from fusion.judge import evaluate
from fusion.scores import GroupedSVM
from fusion.scores.grouped_svm import on_few_axes
from storage.errors import UserError
from storage.features import open_features
from storage.scores import ScoreTable
from streams.sequences import FeatureData, FeatureSource, open_feature_source


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return write_made(tmp_path_factory.mktemp("features"))


def source_of(made: Made, *which: str) -> FeatureSource:
    stores = tuple(getattr(made, name) for name in which)
    parts = ("train", "validation", "test")
    return open_feature_source(FeatureData(stores, made.labels), parts, beside=False)


def test_it_is_scikit_learns_machine_on_the_concatenated_rows(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C3D's table: L2-normalised mean features, several networks side by side."""
    source = source_of(made, "rgb", "flow", "maps")
    train, test = source.parts["train"], source.parts["test"]
    svm = FeatureSVM(source.stores, source.classes, 1, GroupedSVM((0.1, 1.0))).fit(train)
    rows = {}
    for part, clips in (("train", train), ("test", test)):
        columns = []
        for path in source.stores:
            with open_features(path) as store:
                axes = (0,) if len(store.meta.shape) == 1 else (0, 2, 3)
                own = [store.read(c.video).astype(np.float64).mean(axes) for c in clips]
            columns.append(normalize(np.stack(own)))
        rows[part] = np.hstack(columns)
    assert rows["train"].shape[1] == 3 + 2 + 4
    machine = LinearSVC(C=svm.machine.c, random_state=0, max_iter=3000)
    machine.fit(rows["train"], [clip.label for clip in train])
    expected = machine.decision_function(rows["test"]) / svm.machine.temperature
    np.testing.assert_allclose(
        svm.table(test, "test", "svm").scores, expected, rtol=1e-5, atol=1e-6
    )
    # For the report's map; so large a row as trajectories have stays out.
    np.testing.assert_allclose(svm.table(test, "test", "svm").features, rows["test"], rtol=1e-5)
    monkeypatch.setattr("fusion.features.feature_svm.MOST_KEPT", 8)
    assert svm.table(test, "test", "svm").features is None


def test_c_is_chosen_without_the_test_part(made: Made, tmp_path: Path) -> None:
    """Other features of test and validation videos change neither C nor the machine."""
    source = source_of(made, "rgb")
    learned = {clip.video for clip in source.parts["train"]}
    with open_features(made.rgb) as store:
        content = {v: store.read(v) if v in learned else -store.read(v) for _, v in names()}
    path = write_store(tmp_path / "f", config("rgb", (3,)), content)
    one, two = (
        FeatureSVM((p,), source.classes, 1).fit(source.parts["train"]).machine
        for p in (made.rgb, path)
    )
    assert one.cross_validated == two.cross_validated
    np.testing.assert_array_equal(one.model.coef_, two.model.coef_)


def test_scores_of_videos_that_it_learned_from_are_refused(made: Made) -> None:
    source = source_of(made, "rgb")
    svm = FeatureSVM(source.stores, source.classes, 1).fit(source.parts["train"])
    with pytest.raises(UserError, match="were learned from"):
        svm.table(source.parts["train"], "test", "svm")


def test_out_of_fold_scores_are_marked_and_honest(made: Made) -> None:
    """On features that say nothing the fitted machine knows its videos by heart, folds do not."""
    source = source_of(made, "rgb")
    train = source.parts["train"]
    svm = FeatureSVM(source.stores, source.classes, 1).fit(train)
    table = svm.out_of_fold(train, "svm")
    assert table.provenance["out_of_fold"] is True
    assert (table.part, table.videos) == ("train", tuple(clip.video for clip in train))
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    noise = GroupedSVM((100.0,)).fit(rng.normal(size=(60, 80)), labels, np.arange(60) // 6)
    assert noise.held_out is not None
    assert (noise.held_out.argmax(1) == labels).mean() < 0.65


@given(seed=st.integers(0, 2**16), count=st.integers(2, 30), width=st.integers(31, 400))
def test_turned_rows_keep_their_products_and_weights_their_margins(
    seed: int, count: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, width))
    x[-1] = x[0]  # fewer axes than rows
    rows, back = on_few_axes(x)
    assert rows.shape == (count, count - 1)
    np.testing.assert_allclose(rows @ rows.T, x @ x.T, atol=1e-9)
    weights = rng.normal(size=(3, count)) @ rows
    assert back(weights).shape == (3, width)
    np.testing.assert_allclose(x @ back(weights).T, rows @ weights.T, atol=1e-8)


@pytest.mark.parametrize("c", [0.01, 1.0])
def test_long_rows_are_learned_from_as_scikit_learn_learns(c: float) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    x = normalize(rng.normal(size=(30, 300)) + 2 * (labels[:, None] == np.arange(300) % 3))
    new = normalize(rng.normal(size=(7, 300)))
    calls: list[int] = []
    svm = GroupedSVM((c,)).fit(x, labels, np.arange(30), calls.append)
    assert calls == [6] * 6  # five folds, and all rows
    direct = LinearSVC(C=c, random_state=0, max_iter=3000).fit(x, labels)
    np.testing.assert_allclose(svm.margins(new, 3), direct.decision_function(new), atol=1e-3)


def test_a_video_without_any_feature_stays_zero(tmp_path: Path) -> None:
    path = write_store(tmp_path / "f", config("idt", (3,)), {"v": np.zeros((1, 3))})
    np.testing.assert_array_equal(feature_rows(path, ["v"]), np.zeros((1, 3)))


def test_the_command_writes_tables_that_fuse_reads(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts import cli

    words = ["--labels", str(made.labels), "--quiet"]
    tables = []
    for name in ("rgb", "flow"):
        for part in ("validation", "test"):
            out = tmp_path / f"{name}-{part}.npz"
            call = ["svm", str(getattr(made, name)), *words, "--part", part, "--out", str(out)]
            assert cli.main([*call, "--name", name]) == 0
            tables.append(str(out))
    capsys.readouterr()
    again = ["--json", "--out", str(tmp_path / "again.npz")]
    assert cli.main(["svm", str(made.rgb), *words, *again]) == 0
    summary = json.loads(capsys.readouterr().out)
    table = ScoreTable.load(tmp_path / "again.npz")
    judged = evaluate([table]).splits[0].figures[0].top[1]
    assert summary["top1"] == round(judged.value, 5)
    assert summary["interval"] == [round(judged.low or 0, 5), round(judged.high or 0, 5)]
    fused = tmp_path / "fused.npz"
    call = ["fuse", tables[1], tables[3], "--method", "weighted", "--fit", tables[0], tables[2]]
    assert cli.main([*call, "--out", str(fused)]) == 0
    assert len(ScoreTable.load(fused).videos) == 8
