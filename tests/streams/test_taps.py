"""Features of a tapped network: what they are, and that a stop anywhere loses nothing."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from streams_tiny import Tiny, start

from scripts import cli
from storage.errors import StoreError, UserError
from storage.features import FeatureStore, holds_features, open_features
from storage.store import open_store, verify
from streams.networks import StreamNet, build_network
from streams.samples import DataOptions, open_source
from streams.scoring import NetworkTap, Run, Tap, Views, score_table
from streams.scoring.stream_scorer import open_scorer
from streams.training import LoopOptions, RunFolder, StreamTask, recipe, save_weights

CPU = torch.device("cpu")
QUIET = LoopOptions(device="cpu", workers=0)


def write_run(folder: Path, tiny: Tiny, kind: str, seed: int = 0) -> Path:
    """A run as training leaves it; random weights."""
    chosen = recipe("small", kind)
    chosen = replace(chosen, crop=replace(chosen.crop, size=24))
    if kind == "temporal":
        chosen = replace(chosen, input=replace(chosen.input, length=2))
    source = open_source(DataOptions(tiny.store, tiny.labels), {kind: chosen.input})
    task = StreamTask(kind, chosen, source, seed=seed)
    run = RunFolder(folder)
    run.begin(task.settings(), {"recipe": "small"})
    weights = task.build_model(initial=False).state_dict()
    save_weights(run.best, weights, {"classes": list(task.classes)})
    return folder


@pytest.fixture(scope="module")
def temporal(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run") / "temporal", tiny, "temporal")


@pytest.fixture(scope="module")
def spatial(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run") / "spatial", tiny, "spatial")


def write(
    tiny: Tiny, run: Path, out: Path, tap: Tap, videos: list[str] | None = None
) -> FeatureStore:
    tapped = NetworkTap(Run.open(run), tap, CPU)
    with open_store(tiny.store) as source:
        config, stored = tapped.config(source.meta.to_json()), source.videos()
    store = open_features(out, "a", config)
    left = [video for video in videos or stored if video not in store]
    tapped.write(tiny.store, left, store, QUIET)
    return store


def same_features(one: FeatureStore, two: FeatureStore) -> None:
    assert one.videos() == two.videos()
    for video in one.videos():
        np.testing.assert_array_equal(one.read(video), two.read(video))
        np.testing.assert_array_equal(one.moments(video), two.moments(video))


@pytest.mark.parametrize("kind", ["spatial", "temporal"])
def test_the_mean_of_pooled_features_is_that_of_the_score_table(
    tiny: Tiny, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """The same moments and crops by the way that scores go."""
    run = Run.open(request.getfixturevalue(kind))
    store = write(tiny, run.path, tmp_path / "f", Tap(snapshots=3, crops=5, dtype="float32"))
    scorer = open_scorer(run, CPU)
    source = open_source(DataOptions(tiny.store, tiny.labels), scorer.inputs, ("test",))
    table = score_table(scorer, source, "test", Views(3, 5), CPU, QUIET, stream="s", provenance={})
    assert table.features is not None
    for video, row in zip(table.videos, table.features, strict=True):
        np.testing.assert_allclose(store.read(video).mean(0), row, rtol=2e-4, atol=1e-5)


def test_every_says_the_moments_and_maps_are_what_is_pooled(
    tiny: Tiny, tmp_path: Path, temporal: Path
) -> None:
    """A ResNet's pool is the mean of layer4 over its places."""
    maps = write(tiny, temporal, tmp_path / "maps", Tap("layer3", every=3, dtype="float32"))
    pool = write(tiny, temporal, tmp_path / "pool", Tap(every=3, dtype="float32"))
    video = pool.videos()[0]
    np.testing.assert_array_equal(pool.moments(video), [0, 3, 6])  # 8 pairs hold 7 stacks of 2
    assert maps.read(video).shape == (3, 256, 2, 2)
    assert pool.read(video).shape == (3, 512)


def test_a_tap_is_the_map_behind_the_part() -> None:
    net = StreamNet(build_network("resnet18", classes=3, size=64).eval())
    x = torch.randn(2, 3, 3, 64, 64)
    with torch.no_grad():
        maps, pool = net.tapped(x, "layer4"), net.tapped(x, "pool")
        torch.testing.assert_close(maps.mean((3, 4)), pool)
        torch.testing.assert_close(pool, net.features(x))


def test_a_map_of_a_clip_is_the_mean_over_its_time() -> None:
    net = build_network("r3d18", "flow", 3, length=8, size=32).eval()
    x = torch.randn(1, 2, 16, 32, 32)
    clips = x.flatten(0, 1).unflatten(1, (8, 2)).transpose(1, 2)
    with torch.no_grad():
        found = StreamNet(net).tapped(x, "layer2")
        torch.testing.assert_close(found[0], net.until(clips, "layer2").mean(2))


def test_features_that_were_resumed_are_those_of_one_go(
    tiny: Tiny, tmp_path: Path, temporal: Path
) -> None:
    tap = Tap(every=2)
    whole = write(tiny, temporal, tmp_path / "whole", tap)
    write(tiny, temporal, tmp_path / "cut", tap, whole.videos()[5:9]).close()
    same_features(whole, write(tiny, temporal, tmp_path / "cut", tap))


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_features(
    tiny: Tiny, tmp_path: Path, temporal: Path
) -> None:
    """SIGKILL, as soon as some videos are there; then the same command."""
    words = [str(temporal), "--store", str(tiny.store), "--every", "1", "--workers", "0"]
    words += ["--labels", str(tiny.labels), "--quiet", "--device", "cpu"]
    out = tmp_path / "cut"
    process = start(["features", *words, "--out", str(out)])
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        if holds_features(out) and len(open_features(out)) >= 3:
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(open_features(out)) >= 3
    for name in ("cut", "whole"):
        assert cli.main(["features", *words, "--out", str(tmp_path / name)]) == 0
    cut, whole = (open_features(tmp_path / name) for name in ("cut", "whole"))
    same_features(whole, cut)
    assert cut.statistics.read_bytes() == whole.statistics.read_bytes()
    assert not verify(out, kind=FeatureStore).damaged


def test_another_network_tap_or_view_is_refused(tiny: Tiny, tmp_path: Path, temporal: Path) -> None:
    write(tiny, temporal, tmp_path / "f", Tap(snapshots=2), ["BlueLeft/v_BlueLeft_g01_c01"])
    other = write_run(tmp_path / "other", tiny, "temporal", seed=1)
    for run, tap, words in (
        (other, Tap(snapshots=2), "network.weights"),
        (temporal, Tap("layer4", snapshots=2), "at: the store has 'pool', asked for 'layer4'"),
        (temporal, Tap(snapshots=3), "views.snapshots"),
    ):
        with pytest.raises(StoreError, match=words):
            write(tiny, run, tmp_path / "f", tap)


@pytest.mark.parametrize(
    ("tap", "words"),
    [
        (Tap("layer9"), "there are conv1"),
        (Tap("layer3", crops=5), "--crops 1"),
        (Tap(crops=10), "use 5"),
    ],
)
def test_taps_that_cannot_be_are_refused(temporal: Path, tap: Tap, words: str) -> None:
    with pytest.raises(UserError, match=words):
        NetworkTap(Run.open(temporal), tap, CPU)


def test_a_broken_network_writes_nothing(tiny: Tiny, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", tiny, "temporal")
    tapped = NetworkTap(Run.open(run), Tap(snapshots=2), CPU)
    with torch.no_grad():
        tapped.net.network.backbone[0].weight.fill_(torch.nan)
    with open_store(tiny.store) as source:
        store = open_features(tmp_path / "f", "w", tapped.config(source.meta.to_json()))
        with pytest.raises(UserError, match="not finite"):
            tapped.write(tiny.store, source.videos(), store, QUIET)
    assert store.videos() == []
