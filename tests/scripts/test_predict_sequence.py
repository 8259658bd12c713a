"""A network over sequences says of a video what `twostream score` says of its features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from predict_material import FAST, random_run

from flow.extraction.extract import extract_video
from fusion.judge.normalisation import probabilities
from fusion.report.video_timeline import Fusing
from scripts import predict as command
from scripts.prediction.prediction import Looking, plan_passes, predict
from scripts.prediction.trained import Trained, open_runs
from scripts.samples.sample_videos import SampleData, make_sample_data
from storage import UserError, open_store
from storage.features import FeatureConfig, open_features
from streams.scoring import NetworkTap, Run, Tap, Views
from streams.sequences import (
    FeatureData,
    SequenceOnVideo,
    SequenceScorer,
    SequenceTask,
    Windows,
    open_feature_source,
    sequence_recipe,
    sequence_table,
)
from streams.training import LoopOptions, RunFolder, save_weights

CPU = torch.device("cpu")
QUIET = LoopOptions(device="cpu", workers=0)
TAPS = {"spatial": Tap(every=8), "temporal": Tap(snapshots=4, crops=5)}


def write_features(home: Path, kind: str) -> None:
    tapped = NetworkTap(Run.open(home / kind), TAPS[kind], CPU)
    with open_store(home / "store") as source:
        made, stored = tapped.config(source.meta.to_json()), source.videos()
    with open_features(home / f"{kind}.features", "w", made) as store:
        tapped.write(home / "store", stored, store, QUIET)


def feature_data(home: Path, *kinds: str) -> FeatureData:
    stores = tuple(home / f"{kind}.features" for kind in kinds)
    return FeatureData(stores, home / "lists", validation=0, empty_classes=True)


def random_sequence_run(home: Path, *kinds: str) -> Path:
    """A GRU of random weights, on the features of runs side by side."""
    recipe = sequence_recipe("small", "gru")
    recipe = replace(recipe, windows=Windows(length=3), net=replace(recipe.net, hidden=8))
    source = open_feature_source(feature_data(home, *kinds), ("train",))
    task = SequenceTask(recipe, source, seed=1)
    net = task.build_model(initial=True)
    with torch.no_grad():
        net.aggregator.head.weight.mul_(20)  # type: ignore[union-attr, operator]
    run = RunFolder(home / "-".join(["gru", *kinds]))
    run.begin(task.settings(), {"recipe": "small"})
    save_weights(run.best, net.state_dict(), {"classes": list(task.classes)})
    return run.path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """videos/, lists/, store, two runs, their features, and a GRU on one and on both of them."""
    out = tmp_path_factory.mktemp("sequences")
    shape = SampleData(appearances=2, motions=2, groups=2, clips=1, frames=40, width=64, height=48)
    make_sample_data(out, shape)
    with open_store(out / "store", "w", FAST.config()) as store:
        for path in sorted(out.glob("videos/*/*.avi")):
            video = path.relative_to(out / "videos").with_suffix("").as_posix()
            extract_video(path, video, store, FAST)
    for kind in TAPS:
        random_run(out / kind, kind, out / "store", out / "lists")
        write_features(out, kind)
    random_sequence_run(out, "spatial")
    random_sequence_run(out, "spatial", "temporal")
    return out


@pytest.mark.parametrize("kinds", [("spatial",), ("spatial", "temporal")])
def test_a_file_is_scored_as_its_features_in_a_store(home: Path, kinds: tuple[str, ...]) -> None:
    run = Run.open(home / "-".join(["gru", *kinds]))
    source = open_feature_source(feature_data(home, *kinds), ("test",))
    table = sequence_table(
        SequenceScorer(run, CPU), source, "test", 10, QUIET, stream="gru", provenance={}
    )
    wanted = probabilities(table)
    assert wanted.std(0).max() > 0.01  # it does tell the videos from each other
    runs = open_runs({}, [run.path], CPU, [home / kind for kind in kinds])
    passes = plan_passes(runs, "auto", 1)
    assert passes[0].flow == ("temporal" in kinds)
    fusing, looking = Fusing(table.classes, tuple(runs)), Looking(Views(2, 1), 10, 5, 1)
    for row, video in enumerate(table.videos):
        found = predict(str(home / "videos" / f"{video}.avi"), passes, fusing, looking, CPU)
        assert found.whole.probabilities == pytest.approx(wanted[row], abs=2e-3)  # float16


def test_a_long_video_has_a_timeline(home: Path) -> None:
    runs = open_runs({}, [home / "gru-spatial", home / "spatial"], CPU, [home / "spatial"])
    fusing = Fusing(runs["spatial"].run.classes, tuple(runs))
    video = str(min(home.glob("videos/*/*.avi")))
    passes = plan_passes(runs, "auto", 1)
    found = predict(video, passes, fusing, Looking(Views(4, 1), 0.8, 0.4, 1), CPU)
    assert list(found.streams) == ["sequence", "spatial"]
    assert [round(row.start, 3) for row in found.timeline] == [0.0, 0.4, 0.8]


def test_what_the_features_need_is_said_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = str(min(home.glob("videos/*/*.avi")))
    for given in ([], ["--features-of", str(home / "temporal")]):
        words = [video, "--run", str(home / "gru-spatial"), *given, "--quiet"]
        assert command.main(words) == 2
        error = capsys.readouterr().err
        assert "give its run by --features-of RUN" in error
        assert len(error.splitlines()) == 1


def test_features_that_no_run_makes_are_refused(home: Path, tmp_path: Path) -> None:
    run = Run.open(home / "gru-spatial")
    (trained,) = run.settings["data"]["features"]
    made = FeatureConfig.from_json(trained)
    trajectories = replace(made, network={"kind": "idt", "name": "improved trajectories"})
    other = {**run.settings["data"], "features": [trajectories.to_json()]}
    changed = replace(run, settings={**run.settings, "data": other})
    with pytest.raises(UserError, match=r"no run makes \(improved trajectories\)"):
        SequenceOnVideo(changed, [], CPU)
    with pytest.raises(UserError, match="is a sequence run; give it by --run"):
        Trained.open(run.path, "spatial", CPU)
