"""Networks over sequences of features, on the streams' training loop."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from feature_material import Made, config, names, write_made, write_store

from storage.errors import UserError
from storage.features import Statistics, open_features, statistics_of
from streams.scoring import Run
from streams.sequences import (
    SEQUENCES,
    FeatureData,
    FeatureDataset,
    FeatureSource,
    SequenceScorer,
    SequenceTask,
    Windows,
    open_feature_source,
    sequence_recipe,
    sequence_recipe_from,
    sequence_table,
)
from streams.training import LoopOptions, RunFolder, checkpoint, interrupt, ranks, train
from streams.training.trainer import State

QUIET = LoopOptions(device="cpu", workers=0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return write_made(tmp_path_factory.mktemp("features"))


def source_of(
    made: Made, *which: str, parts: tuple[str, ...] = ("train", "validation")
) -> FeatureSource:
    stores = tuple(getattr(made, name) for name in which)
    return open_feature_source(FeatureData(stores, made.labels), parts)


def small(network: str, **optim: Any) -> Any:
    recipe = sequence_recipe("small", network)
    optim = {"batch": 4, "epochs": 4} | optim
    return replace(
        recipe,
        windows=Windows(length=8),
        net=replace(recipe.net, hidden=8),
        optim=replace(recipe.optim, **optim),
    )


def run(folder: Path, recipe: Any, source: FeatureSource, seed: int = 3) -> State:
    with ranks("cpu") as where:
        task = SequenceTask(recipe, source, seed)
        return train(task, RunFolder(folder), where, QUIET, quiet=True)


def score(folder: Path, source: FeatureSource, part: str = "test", windows: int = 3) -> Any:
    scorer = SequenceScorer(Run.open(folder), torch.device("cpu"))
    scorer.check(source)
    return sequence_table(scorer, source, part, windows, QUIET, stream="s", provenance={})


def right(table: Any) -> float:
    return float((table.scores.argmax(1) == table.labels).mean())


@pytest.mark.parametrize(
    "network",
    [
        name if name in ("lstm", "actionvlad") else pytest.param(name, marks=pytest.mark.slow)
        for name in SEQUENCES
    ],
)
def test_every_network_trains_and_scores(made: Made, tmp_path: Path, network: str) -> None:
    which = "maps" if SEQUENCES[network].maps != "no" else "rgb"
    recipe = small(network, steps=2)
    if network == "actionvlad":
        recipe = replace(recipe, net=replace(recipe.net, extra=("clusters=3",)))
    run(tmp_path / "run", recipe, source_of(made, which))
    table = score(tmp_path / "run", source_of(made, which, parts=("test",)))
    assert table.scores.shape == (8, 4)
    assert table.groups


@pytest.mark.slow
def test_an_lstm_learns_what_lies_in_the_order_and_a_mean_cannot(
    made: Made, tmp_path: Path
) -> None:
    """Left and Right have the same features in opposite orders."""
    source, test = source_of(made, "flow"), source_of(made, "flow", parts=("test",))
    for network in ("lstm", "mean"):
        recipe = small(network, epochs=40, lr=0.02, ema=0.0, best="loss")
        run(tmp_path / network, recipe, source)
    motion = {n: score(tmp_path / n, test).scores.argmax(1) % 2 for n in ("lstm", "mean")}
    truth = np.array([label % 2 for label in score(tmp_path / "mean", test).labels])
    assert (motion["lstm"] == truth).all()
    assert (motion["mean"] == truth).mean() < 0.9


def test_two_stores_side_by_side_know_what_each_knows(made: Made, tmp_path: Path) -> None:
    source = source_of(made, "rgb", "flow")
    assert source.shape == (5,)
    run(tmp_path / "run", small("gru", epochs=40, lr=0.02), source)
    assert right(score(tmp_path / "run", source_of(made, "rgb", "flow", parts=("test",)))) == 1


def test_stores_stand_beside_each_other_as_the_aggregators_say(made: Made) -> None:
    data = FeatureDataset(source_of(made, "rgb", "flow"), "train", Windows(length=0))
    for i in range(4):
        sample = data[i]
        first, second = (store.read(sample.video) for store in data.stores)
        beside = [int((t + 0.5) * len(second) / len(first)) for t in range(len(first))]
        expected = np.concatenate([first, second[beside]], 1)
        assert np.array_equal(sample.windows[0], expected)


def state_of(folder: Path) -> dict[str, Any]:
    saved = checkpoint.load(folder / "checkpoints" / "last.pt")
    saved["state"].pop("seconds")
    return saved


def same(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


@pytest.mark.parametrize("step", [1, 7])
def test_a_resumed_run_is_the_run_that_was_never_stopped(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    source, recipe = source_of(made, "rgb", "flow"), small("lstm", ema=0.9)
    recipe = replace(recipe, net=replace(recipe.net, truncation=3, norm="batch", dropout=0.3))
    run(tmp_path / "whole", recipe, source)
    with monkeypatch.context() as patch:
        patch.setattr(interrupt.Stop, "asked", lambda self, now: now == step)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", recipe, source)
    run(tmp_path / "cut", recipe, source)
    assert same(state_of(tmp_path / "whole"), state_of(tmp_path / "cut"))
    rows = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "cut")]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_gradients_that_go_back_to_the_beginning_are_the_full_ones(
    made: Made, tmp_path: Path
) -> None:
    """Truncation at the length of the window, or over it, is no truncation: bit for bit."""
    source, weights = source_of(made, "rgb"), []
    for truncation in (0, 8, 100, 3):
        recipe = small("gru", steps=3)
        recipe = replace(recipe, net=replace(recipe.net, truncation=truncation))
        run(tmp_path / str(truncation), recipe, source)
        weights.append(state_of(tmp_path / str(truncation))["model"])
    assert same(weights[0], weights[1])
    assert same(weights[0], weights[2])
    assert not same(weights[0], weights[3])


def test_the_loss_of_pieces_is_the_loss_of_the_whole(made: Made, tmp_path: Path) -> None:
    """metrics.jsonl says the sum over the pieces, in training and in validation."""
    losses = []
    for truncation in (0, 3):
        recipe = small("lstm", steps=1)
        net = replace(recipe.net, truncation=truncation, dropout=0.0)
        run(tmp_path / str(truncation), replace(recipe, net=net), source_of(made, "rgb"))
        rows = RunFolder(tmp_path / str(truncation)).rows()
        losses.append([row["loss"] for row in rows if row["part"] == "train"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("short", ["back-and-forth", "mask"])
def test_videos_of_one_step_are_trained_on_and_scored(
    made: Made, tmp_path: Path, short: str
) -> None:
    rng = np.random.default_rng(0)
    content = {v: rng.normal(size=(1 if i % 2 else 20, 3)) for i, (_, v) in enumerate(names())}
    path = write_store(tmp_path / "f", config("rgb", (3,)), content)
    data = FeatureData((path,), made.labels)
    recipe = small("lstm", steps=3)
    recipe = replace(recipe, windows=replace(recipe.windows, short=short))
    run(tmp_path / "run", recipe, open_feature_source(data))
    table = score(tmp_path / "run", open_feature_source(data, ("test",)))
    assert np.isfinite(table.scores).all()


def test_a_video_scores_the_same_alone_and_among_others(made: Made, tmp_path: Path) -> None:
    recipe = small("lstm", steps=2)
    recipe = replace(recipe, windows=Windows(length=0))
    source = source_of(made, "rgb", parts=("train", "validation"))
    run(tmp_path / "run", recipe, source)
    test = source_of(made, "rgb", parts=("test",))
    together = score(tmp_path / "run", test)
    for i, clip in enumerate(test.parts["test"]):
        alone = replace(test, parts={"test": [clip]})
        np.testing.assert_allclose(
            score(tmp_path / "run", alone).scores[0], together.scores[i], atol=1e-5
        )


def test_videos_that_one_store_lacks_are_left_out_and_named(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lacking = [video for _, video in names()][3::7]
    with open_features(made.flow) as whole:
        content = {v: whole.read(v) for v in whole.videos() if v not in lacking}
    path = write_store(tmp_path / "f", config("flow", (2,)), content)
    data = FeatureData((made.rgb, path), made.labels)
    with caplog.at_level(logging.WARNING):
        source = open_feature_source(data, ("train", "validation", "test"))
    left = [video for videos in source.missing.values() for video in videos]
    assert sorted(left) == sorted(lacking)
    assert "not in all feature stores" in caplog.text
    with pytest.raises(UserError, match="not in all feature stores"):
        open_feature_source(replace(data, missing="stop"), ("train", "validation", "test"))


def test_features_of_another_network_or_tap_are_refused(made: Made, tmp_path: Path) -> None:
    run(tmp_path / "run", small("mean", steps=1), source_of(made, "rgb"))
    content = {video: np.zeros((2, 3)) for _, video in names()}
    for name, other, words in (
        ("a", config("rgb", (3,), weights="w2"), "network.weights: the run learned on 'w1'"),
        ("b", config("rgb", (3,), "conv5"), "at: the run learned on 'pool', here it is 'conv5'"),
    ):
        path = write_store(tmp_path / name, other, content)
        source = open_feature_source(FeatureData((path,), made.labels), ("test",))
        with pytest.raises(UserError, match=words):
            score(tmp_path / "run", source)
    with pytest.raises(UserError, match="trained on 1 feature stores side by side, 2 are given"):
        score(tmp_path / "run", source_of(made, "rgb", "flow", parts=("test",)))


def test_stores_that_do_not_fit_side_by_side_are_refused(made: Made) -> None:
    with pytest.raises(UserError, match="do not fit side by side"):
        source_of(made, "rgb", "maps")
    with pytest.raises(UserError, match="hold the same features"):
        source_of(made, "rgb", "rgb")


def test_a_network_says_what_a_step_must_be(made: Made) -> None:
    task = SequenceTask(small("visual-attention"), source_of(made, "rgb"), 0)
    with pytest.raises(UserError, match="--network visual-attention takes"):
        task.build_model(initial=False)


def test_of_maps_a_network_for_vectors_sees_the_mean_over_places(
    made: Made, tmp_path: Path
) -> None:
    """It answers as the same network on a store of those means."""
    content = {}
    with open_features(made.maps) as store:
        for video in store.videos():
            content[video] = store.read(video).mean((2, 3))
    path = write_store(tmp_path / "means", config("rgb", (4,), "conv5"), content)
    recipe = small("lstm")
    recipe = replace(recipe, net=replace(recipe.net, standardise=False))
    tables = []
    for name, stores in (("maps", (made.maps,)), ("pooled", (path,))):
        run(tmp_path / name, recipe, open_feature_source(FeatureData(stores, made.labels)))
        source = open_feature_source(FeatureData(stores, made.labels), ("test",))
        tables.append(score(tmp_path / name, source))
    np.testing.assert_allclose(tables[0].scores, tables[1].scores, atol=1e-4)


def test_an_option_that_a_network_does_not_take_is_refused() -> None:
    usual = sequence_recipe("small", "mean").net
    with pytest.raises(UserError, match="--layers has no meaning for --network mean"):
        replace(usual, layers=3).check_meant(usual)
    replace(usual, dropout=0.1).check_meant(usual)


def test_statistics_of_another_split_are_not_taken(made: Made, tmp_path: Path) -> None:
    with open_features(made.rgb) as store:
        everything = statistics_of(store, store.videos(), "another list split 1 train")
        content = {video: store.read(video) for video in store.videos()}
    path = write_store(tmp_path / "f", config("rgb", (3,)), content)
    with open_features(path) as store:
        everything.save(store.statistics)
    source = open_feature_source(FeatureData((path,), made.labels))
    net = SequenceTask(small("lstm"), source, 0).build_model(initial=True)
    with open_features(path) as store:
        own = statistics_of(store, [clip.video for clip in source.parts["train"]])
    np.testing.assert_allclose(net.mean, own.mean, rtol=1e-6)
    assert not np.allclose(own.mean, everything.mean)
    marked = Statistics(
        own.mean + 7, own.deviation, own.videos, f"{source.catalog.fingerprint} split 1 train"
    )
    with open_features(path) as store:
        marked.save(store.statistics)
    net = SequenceTask(small("lstm"), source, 0).build_model(initial=True)
    np.testing.assert_allclose(net.mean, own.mean + 7, rtol=1e-6)


@pytest.mark.parametrize("name", ["homework", "modern", "small"])
@pytest.mark.parametrize("network", SEQUENCES)
def test_a_recipe_survives_its_settings(name: str, network: str) -> None:
    recipe = sequence_recipe(name, network)
    assert sequence_recipe_from(recipe.settings()) == recipe


def test_the_homework_has_the_published_numbers() -> None:
    recipe = sequence_recipe("homework")
    assert (recipe.windows.length, recipe.net.truncation) == (120, 30)
    assert recipe.windows.short == "back-and-forth"
    assert recipe.windows.window == "random"
    assert (recipe.net.loss, recipe.net.prediction) == ("rising", "rising")


def test_testing_windows_reach_from_the_first_to_the_last_step() -> None:
    windows = Windows(length=4)
    found = windows.testing(10, 3)
    np.testing.assert_array_equal(found, [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]])
    np.testing.assert_array_equal(windows.testing(3, 5), [[0, 1, 2, 1]])
    assert len(windows.testing(5, 9)) == 2
    np.testing.assert_array_equal(Windows(length=4, short="mask").testing(3, 5), [[0, 1, 2]])
