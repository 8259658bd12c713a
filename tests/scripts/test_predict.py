"""`twostream predict` says of a video what `twostream score` says of it in a store."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from foreign_tools import files_of, put
from predict_material import (
    BOTH,
    CPU,
    FEW,
    KINDS,
    a_video,
    looking,
    opened,
    random_run,
    scored,
)

from flow.algorithms.table import algorithm
from flow.extraction.extract import Source
from flow.extraction.maker import FlowMaker
from flow.pictures.live import windows
from flow.pictures.overlay_layout import layout_of
from flow.tvl1.params import TVL1
from flow.video.reader import VideoReader
from flow.video.resize import to_grey
from fusion import average
from fusion.judge.normalisation import probabilities
from fusion.report.video_timeline import Fusing
from scripts import predict as command
from scripts.prediction.prediction import Pass, plan_passes, predict
from storage import Quantizer, UserError, open_store
from storage.convert.import_options import ImportOptions
from storage.convert.import_plan import plan_import
from storage.convert.importer import import_flow
from streams.scoring.scoring import Views
from streams.scoring.window_scores import score_window

algorithm_of = import_module("scripts.import").algorithm_of  # `import` is a keyword


@pytest.mark.parametrize("views", [Views(7, 1), Views(3, 5)])
def test_a_file_is_scored_as_in_the_store(house: Path, views: Views) -> None:
    tables = [scored(house, kind, views) for kind in KINDS]
    fused = probabilities(average(tables, [1, 3]))
    passes = plan_passes(opened(house, **BOTH), "auto", 1)
    assert len(passes) == 1
    fusing = Fusing(tables[0].classes, KINDS, (1, 3))
    assert len(fused) == 4
    for row, video in enumerate(tables[0].videos):
        found = predict(str(house / "videos" / f"{video}.avi"), passes, fusing, looking(views), CPU)
        assert (found.frames, found.fps, len(found.timeline)) == (40, 25, 1)
        assert found.whole.probabilities == pytest.approx(fused[row], abs=1e-4)
        for table, kind in zip(tables, KINDS, strict=True):
            wanted = probabilities(table)[row]
            assert found.streams[kind].probabilities == pytest.approx(wanted, abs=1e-4)
    assert np.ptp(fused, axis=1).min() > 0.02  # the networks do prefer something


@pytest.mark.parametrize("views", [Views(6, 1), Views(1, 5)])
def test_a_fusion_network_scores_a_file_as_in_the_store(house: Path, views: Views) -> None:
    """Its clips of 3 snapshots stand where they stand in the store; alone and among others."""
    table = scored(house, "fusion", views)
    runs = opened(house, fusion="fusion", spatial="spatial")
    alone = plan_passes({"fusion": runs["fusion"]}, "auto", 1)
    together = plan_passes(runs, "auto", 1)
    assert (len(alone), len(together)) == (1, 1)
    for row, video in enumerate(table.videos):
        path = str(house / "videos" / f"{video}.avi")
        found = predict(path, alone, Fusing(table.classes, ("fusion",)), looking(views), CPU)
        wanted = probabilities(table)[row]
        assert found.whole.probabilities == pytest.approx(wanted, abs=1e-4)
        assert found.engine == "dis"
    both = predict(path, together, Fusing(table.classes, tuple(runs)), looking(views), CPU)
    assert both.streams["fusion"].probabilities == pytest.approx(wanted, abs=1e-4)


def test_a_fusion_network_has_a_timeline(house: Path, tmp_path: Path) -> None:
    """One score a clip, at its middle snapshot; the overlay has something to show from early on."""
    runs = opened(house, fusion="fusion")
    passes = plan_passes(runs, "auto", 1)
    fusing = Fusing(runs["fusion"].run.classes, ("fusion",))
    seen = looking(Views(12, 1), 0.8, 0.4, overlay=tmp_path / "seen.mp4")
    found = predict(a_video(house), passes, fusing, seen, CPU)
    assert [round(row.start, 3) for row in found.timeline] == [0.0, 0.4, 0.8]
    with av.open(str(tmp_path / "seen.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == 40


def test_blocks_make_no_difference(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment that is scored in a sliding window has the score it has in the whole video."""
    from streams.scoring import window_scores as passage_scores

    passes = plan_passes(opened(house, **BOTH), "auto", 1)
    fusing = Fusing(passes[0].runs["spatial"].run.classes, KINDS)
    seen: dict[tuple[str, int], np.ndarray] = {}
    kept: dict[str, dict[tuple[str, int], np.ndarray]] = {}
    original = passage_scores.score_window

    def watched(scorer: Any, *rest: Any) -> Any:
        found = original(scorer, *rest)
        for frame, logits in zip(found.frames, found.each, strict=True) if found else []:
            seen[scorer.kind, frame] = logits
        return found

    monkeypatch.setattr("scripts.prediction.prediction.score_window", watched)
    for name, window, stride in (("whole", 10.0, 5.0), ("sliding", 0.8, 0.4)):
        seen.clear()
        found = predict(a_video(house), passes, fusing, looking(Views(20, 1), window, stride), CPU)
        kept[name] = dict(seen)
    assert [round(row.start, 3) for row in found.timeline] == [0.0, 0.4, 0.8]
    assert found.timeline[-1].stop == pytest.approx(1.6)
    both = kept["whole"].keys() & kept["sliding"].keys()
    assert {kind for kind, _ in both} == set(KINDS)
    assert len(both) > 10
    for key in both:
        assert kept["sliding"][key] == pytest.approx(kept["whole"][key], abs=1e-4)


def test_frames_alone_compute_no_flow(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("flow was asked for")

    passes = plan_passes(opened(house, spatial="spatial"), "auto", 1)
    monkeypatch.setattr(FlowMaker, "__init__", never)
    fusing = Fusing(passes[0].runs["spatial"].run.classes, ("spatial",))
    assert predict(a_video(house), passes, fusing, looking(), CPU).engine == "none"


def test_runs_of_two_stores_take_two_passes(house: Path) -> None:
    """Each stream sees frames of the size it learned from, and weights keep their order."""
    runs = opened(house, temporal="temporal", spatial="small spatial")
    passes = plan_passes(runs, "auto", 1)
    assert [one.flow for one in passes] == [False, True]
    assert str(passes[0].recipe.resize) == "short-side 32"
    classes = runs["spatial"].run.classes
    found = predict(
        a_video(house), passes, Fusing(classes, ("temporal", "spatial"), (1, 0)), looking(), CPU
    )
    temporal = found.streams["temporal"].probabilities
    assert found.whole.probabilities == pytest.approx(temporal, abs=1e-5)
    with pytest.raises(UserError, match="camera can be read once"):
        predict("77", passes, Fusing(classes, ("temporal", "spatial")), looking(), CPU)


def test_flow_that_cannot_be_made_again_is_refused(house: Path) -> None:
    runs = opened(house, temporal="temporal")
    config = replace(runs["temporal"].config, algorithm="unknown")
    changed = {"temporal": replace(runs["temporal"], config=config)}
    with pytest.raises(UserError, match=r"temporal: its store says .*'unknown'"):
        plan_passes(changed, "auto", 1)
    frames = opened(house, spatial="spatial")  # which never looks at the flow
    config = replace(frames["spatial"].config, algorithm="unknown")
    passes = plan_passes({"spatial": replace(frames["spatial"], config=config)}, "auto", 1)
    assert isinstance(passes[0], Pass)


def test_a_run_on_imported_flow_predicts_files(house: Path, tmp_path: Path) -> None:
    """Flow of another tool is imported and learned from; a file then gets the same flow."""
    quantizer, flow = Quantizer("round", 20), algorithm("tvl1", TVL1.preset("opencv-cpu"))
    path = Path(a_video(house))
    with VideoReader(path) as reader:
        rgb = [frame.rgb for frame in reader][:14]
    codes = quantizer.quantize(flow.compute(np.stack([to_grey(r) for r in rgb]), "cpu"))
    folder = tmp_path / "flows" / path.parent.name / path.stem
    put(folder, files_of(codes, np.stack(rgb), base=0))
    options = ImportOptions(bound=20, fps=25, **algorithm_of("opencv-cpu"))
    plan = plan_import([tmp_path / "flows"], options)
    assert not import_flow(plan, tmp_path / "store").failed
    random_run(tmp_path / "temporal", "temporal", tmp_path / "store", house / "lists")
    runs = opened(tmp_path, temporal="temporal")
    passes = plan_passes(runs, "cpu", 1)
    assert passes[0].recipe.config().fingerprint == TVL1.preset("opencv-cpu").fingerprint
    trained, store = runs["temporal"], open_store(tmp_path / "store")
    source = Source(a_video(house), passes[0].recipe)
    block = next(windows(source, passes[0].recipe, "v", length=14, reach=0))
    stored = store.read_flow(store.videos()[0], 0, 13)
    live = block.window.read_flow("v", 0, 13)
    difference = np.abs(live.astype(int) - stored)  # the other tool's JPEG, and nothing else
    assert np.mean(difference) < 1.5
    found = score_window(trained.scorer, block.window, range(14), FEW, CPU)
    assert found is not None
    assert found.whole.shape == (4,)


def test_the_overlay_shows_the_video_at_its_own_size_through_all_of_it(
    house: Path, tmp_path: Path
) -> None:
    """The networks know it at 32 pixels; the overlay shows those of the file, frame by frame."""
    runs = opened(house, spatial="small spatial")
    passes = plan_passes(runs, "auto", 1)
    fusing = Fusing(runs["spatial"].run.classes, ("spatial",))
    path = tmp_path / "seen.mp4"
    video = a_video(house)
    predict(video, passes, fusing, looking(window=1, stride=0.5, overlay=path), CPU)
    where = layout_of(64, 48, flow=False).picture
    scale = where.width // 64
    with av.open(str(path)) as file:
        shown = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with VideoReader(video) as reader:
        originals = [frame.rgb for frame in reader]
    assert len(shown) == len(originals) == 40
    for page, original in zip(shown, originals, strict=True):
        inside = page[where.top : where.bottom, where.left : where.right].astype(float)
        small = inside.reshape(48, scale, 64, scale, 3).mean((1, 3))
        assert np.abs(small - original).mean() < 6


def test_each_stream_stands_beside_the_fused_one_in_the_timeline(house: Path) -> None:
    passes = plan_passes(opened(house, **BOTH), "auto", 1)
    fusing = Fusing(passes[0].runs["spatial"].run.classes, KINDS)
    found = predict(a_video(house), passes, fusing, looking(Views(12, 1), 0.8, 0.4), CPU)
    for row in found.timeline:
        mean = np.mean([row.streams[kind] for kind in KINDS], axis=0)
        assert row.probabilities == pytest.approx(mean, abs=1e-6)
    said = command.as_json(found, fusing, 2)["timeline"][0]
    assert set(said["streams"]) == set(KINDS)
    first = fusing.classes[found.timeline[0].top(1)[0][0]]
    assert f"({first}: spatial " in command.as_text(found, fusing, 2)
