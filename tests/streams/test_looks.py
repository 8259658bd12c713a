"""Attention weights of a run, on the steps of each video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_material import Made, config, names, write_made, write_store
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import UserError
from storage.features import open_features
from streams.scoring import Run
from streams.sequences import (
    FeatureData,
    SequenceScorer,
    SequenceTask,
    Windows,
    open_feature_source,
    sequence_recipe,
    video_weights,
)
from streams.sequences.looks import on_steps
from streams.training import RunFolder, save_weights

NEEDLE = 3
"""Steps of each video that show its class; the others are alike in all classes."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return write_made(tmp_path_factory.mktemp("looks"))


def trained(
    folder: Path, store: Path, labels: Path, network: str, windows: Windows, steps: int = 0
) -> SequenceScorer:
    """A run as training leaves it, after some plain steps on all of its videos."""
    recipe = sequence_recipe("small", network)
    net = replace(recipe.net, hidden=8, dropout=0.0)
    recipe = replace(recipe, windows=windows, net=net)
    source = open_feature_source(FeatureData((store,), labels))
    task = SequenceTask(recipe, source, 0)
    model = task.build_model(initial=True)
    data = task.data("train")
    optim = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(steps):
        batch = data.collate([data[i] for i in range(len(data))])
        loss, _, _ = model(batch.features, batch.lengths, batch.labels)
        optim.zero_grad()
        loss.backward()
        optim.step()
    run = RunFolder(folder)
    run.begin(task.settings(), {"recipe": "small"})
    save_weights(run.best, model.state_dict(), {"classes": list(task.classes)})
    return SequenceScorer(Run.open(folder), torch.device("cpu"))


def test_weights_of_one_whole_window_are_what_the_network_gives(made: Made, tmp_path: Path) -> None:
    scorer = trained(tmp_path / "r", made.rgb, made.labels, "temporal-attention", Windows(length=0))
    test = open_feature_source(FeatureData((made.rgb,), made.labels), ("test",))
    looks = list(video_weights(scorer, test, "test"))
    assert [look.video for look in looks] == [clip.video for clip in test.parts["test"]]
    with open_features(made.rgb) as store:
        for look in looks:
            x = torch.from_numpy(store.read(look.video))[None]
            alone = scorer.net.aggregator.weights(scorer.net.standardised(x))
            assert alone is not None
            np.testing.assert_allclose(look.weights, alone[0].numpy(), atol=1e-6)
            assert look.weights.sum() == pytest.approx(1, abs=1e-5)
            assert look.moments.tolist() == list(range(store.video(look.video).steps))
            logits = scorer.net(x, torch.tensor([x.shape[1]])).detach()
            assert look.predicted == int(logits.argmax())
            assert look.confidence == pytest.approx(float(logits.softmax(1).max()), abs=1e-5)


def test_visual_attention_has_weights_over_the_places_of_each_step(
    made: Made, tmp_path: Path
) -> None:
    windows = Windows(length=16)  # longer than any video here: played back and forth
    scorer = trained(tmp_path / "r", made.maps, made.labels, "visual-attention", windows)
    test = open_feature_source(FeatureData((made.maps,), made.labels), ("test",))
    (look,) = video_weights(scorer, test, "test", rows=[2])
    assert look.over_places
    assert look.weights.shape == (len(look.moments), 2, 3)
    np.testing.assert_allclose(look.weights.sum((1, 2)), 1, atol=1e-5)


def test_the_weight_lies_on_the_steps_that_tell_the_class(made: Made, tmp_path: Path) -> None:
    """Of 12 steps 3 show the class, at a place that differs; uniform weights would give .25."""
    rng = np.random.default_rng(1)
    content, truth = {}, {}
    for name, video in names():
        steps = rng.normal(0, 0.2, (12, 6))
        at = int(rng.integers(0, 12 - NEEDLE + 1))
        steps[at : at + NEEDLE, 0] += 2
        steps[at : at + NEEDLE, 1 + sorted({n for n, _ in names()}).index(name)] += 2
        content[video], truth[video] = steps, slice(at, at + NEEDLE)
    store = write_store(tmp_path / "needles", config("made", (6,)), content)
    windows = Windows(length=0)
    scorer = trained(tmp_path / "r", store, made.labels, "temporal-attention", windows, steps=60)
    test = open_feature_source(FeatureData((store,), made.labels), ("test",))
    looks = list(video_weights(scorer, test, "test"))
    assert all(look.predicted == look.label for look in looks)
    assert np.mean([look.weights[truth[look.video]].sum() for look in looks]) > 0.7


def test_a_network_without_attention_says_so(made: Made, tmp_path: Path) -> None:
    scorer = trained(tmp_path / "r", made.rgb, made.labels, "lstm", Windows(length=0))
    test = open_feature_source(FeatureData((made.rgb,), made.labels), ("test",))
    with pytest.raises(UserError, match="a run of lstm, which has no attention"):
        next(video_weights(scorer, test, "test"))


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 12), st.integers(0, 99))
def test_weights_keep_their_sum_however_windows_lie(
    steps: int, windows: int, length: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, steps, (windows, length))
    over_time = rng.dirichlet(np.ones(length), windows).astype(np.float32)
    assert on_steps(over_time, chosen, steps).sum() == pytest.approx(1, abs=1e-4)
    over_places = rng.dirichlet(np.ones(6), (windows, length)).astype(np.float32)
    placed = on_steps(over_places.reshape(windows, length, 2, 3), chosen, steps)
    looked_at = np.isin(np.arange(steps), chosen)
    np.testing.assert_allclose(placed.sum((1, 2)), looked_at, atol=1e-4)
