"""`twostream predict` says of a video what `twostream score` says of it in a store."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import av
import numpy as np
import pytest
import torch
from foreign_tools import files_of, put
from predict_material import FAST, random_run

from flow.algorithms.table import algorithm
from flow.extraction.extract import Source, extract_video
from flow.extraction.maker import FlowMaker
from flow.pictures.live import windows
from flow.pictures.overlay_layout import layout_of
from flow.tvl1.params import TVL1
from flow.video.reader import VideoReader
from flow.video.resize import Resize, to_grey
from fusion import average
from fusion.judge.normalisation import probabilities
from fusion.network.recipe import FusionOptions, FusionRecipe
from fusion.network.task import FusionTask, fusion_net
from fusion.network.towers import load_tower
from fusion.report.video_timeline import Fusing
from scripts import predict as command
from scripts.prediction.prediction import Looking, Pass, plan_passes, predict
from scripts.prediction.trained import Trained, open_runs
from scripts.samples.sample_videos import SampleData, make_sample_data
from storage import Quantizer, ScoreTable, UserError, open_store
from storage.convert.import_options import ImportOptions
from storage.convert.import_plan import plan_import
from storage.convert.importer import import_flow
from streams.networks.torchvision_compat import models
from streams.samples.options import DataOptions
from streams.samples.source import open_source
from streams.scoring.scoring import Views, score_table
from streams.scoring.window_scores import score_window
from streams.training.adoption import adopt
from streams.training.options import Adoption, LoopOptions
from streams.training.run_folder import RunFolder
from streams.training.weights_file import save_weights

algorithm_of = import_module("scripts.import").algorithm_of  # `import` is a keyword

Run = Callable[..., CompletedProcess[str]]
CPU = torch.device("cpu")
KINDS = ("spatial", "temporal")


def random_fusion(folder: Path, towers: Path, store: Path, lists: Path) -> None:
    """A run of two such runs, fused and never trained."""
    pair = [load_tower(towers / kind, kind) for kind in KINDS]
    fusing = FusionOptions(snapshots=3, gap=2, two_towers=0.5)
    data = DataOptions(store, lists, validation=0, empty_classes=True)
    source = open_source(data, {t.kind: t.recipe.input for t in pair}, ("test",))
    task = FusionTask(pair[0], pair[1], FusionRecipe(fusing), source, seed=3)
    net = fusion_net(task.recipe, *(tower.net() for tower in pair))
    run = RunFolder(folder)
    run.begin(task.settings(), {"recipe": "small"})
    save_weights(run.best, net.state_dict(), {"classes": list(task.classes)})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """videos/, lists/, store, a run of each kind, and a spatial run of a smaller store."""
    out = tmp_path_factory.mktemp("predict")
    shape = SampleData(appearances=2, motions=2, groups=2, clips=1, frames=40, width=64, height=48)
    make_sample_data(out, shape)
    small = replace(FAST, resize=Resize(short_side=32))
    for name, made in (("store", FAST), ("small.store", small)):
        with open_store(out / name, "w", made.config()) as store:
            for path in sorted(out.glob("videos/*/*g01*.avi")):
                video = path.relative_to(out / "videos").with_suffix("").as_posix()
                extract_video(path, video, store, made)
    for kind in KINDS:
        random_run(out / kind, kind, out / "store", out / "lists")
    random_fusion(out / "fusion", out, out / "store", out / "lists")
    random_run(out / "small spatial", "spatial", out / "small.store", out / "lists")
    return out


def opened(house: Path, **names: str) -> dict[str, Trained]:
    return {kind: Trained.open(house / name, kind, CPU) for kind, name in names.items()}


BOTH = {"spatial": "spatial", "temporal": "temporal"}


def scored(house: Path, kind: str, views: Views) -> ScoreTable:
    """What `twostream score` writes of the stored videos."""
    trained = Trained.open(house / kind, kind, CPU)
    data = DataOptions(house / "store", house / "lists", validation=0, empty_classes=True)
    source = open_source(data, trained.scorer.inputs, ("test",))
    loop = LoopOptions(workers=0)
    return score_table(trained.scorer, source, "test", views, CPU, loop, stream=kind, provenance={})


FEW = Views(6, 1)


def looking(views: Views = FEW, window: float = 10, stride: float = 5, **more: Any) -> Looking:
    return Looking(views, window, stride, 1, **more)


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


def a_video(house: Path) -> str:
    return str(min(house.glob("videos/*/*g01*.avi")))


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


def test_a_folder_of_videos_has_a_folder_of_overlays(tmp_path: Path) -> None:
    videos = {f"in/{name}": Path(name) for name in ("a/x.avi", "b.avi", "b.mov")}
    found = command.overlay_files(tmp_path / "seen", videos)
    names = ["a/x.mp4", "b.mp4", "b.mov.mp4"]
    assert list(found.values()) == [tmp_path / "seen" / name for name in names]
    assert (tmp_path / "seen" / "a").is_dir()
    assert command.overlay_files(None, videos) == {}
    one = {"in/b.avi": Path("b.avi")}
    assert command.overlay_files(tmp_path / "o.mp4", one) == {"in/b.avi": tmp_path / "o.mp4"}


def test_an_overlay_never_replaces_a_video_and_is_one_a_video(tmp_path: Path) -> None:
    video = tmp_path / "b.mp4"
    for out in (tmp_path, video):
        with pytest.raises(UserError, match="would replace the video"):
            command.overlay_files(out, {str(video): Path("b.mp4")})
    two = {"a.avi": Path("a.avi"), "b.avi": Path("b.avi")}
    with pytest.raises(UserError, match="is one video, and 2 are predicted; give a folder"):
        command.overlay_files(tmp_path / "o.mp4", two)


@pytest.mark.slow
def test_the_command_prints_json(house: Path, twostream: Run, tmp_path: Path) -> None:
    tables = [scored(house, kind, Views(3, 1)) for kind in KINDS]
    average(tables, [1, 2], "l1").save(tmp_path / "fused.npz")
    runs = ("--spatial", house / "spatial", "--temporal", house / "temporal", "--views", "3x1")
    video = a_video(house)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    done = twostream("predict", video, broken, *runs, "--json", "--like", tmp_path / "fused.npz")
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert list(said["failures"]) == [str(broken)]
    assert "cannot open" in done.stderr
    only = said["videos"][0]
    assert (only["frames"], only["fps"], only["flow"]) == (40, 25.0, "dis")
    row = tables[0].videos.index(f"{Path(video).parent.name}/{Path(video).stem}")
    wanted = probabilities(average(tables, [1, 2], "l1"))[row]
    assert only["top"][0]["probability"] == pytest.approx(float(wanted.max()), abs=1e-4)
    assert only["top"][0]["class"] == tables[0].classes[int(wanted.argmax())]


def test_the_command_prints_a_table(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = a_video(house)
    runs = ["--spatial", str(house / "spatial"), "--temporal", str(house / "temporal")]
    options = ["--views", "3x1", "--window", "0.8", "--stride", "0.4", "--top", "2", "--quiet"]
    assert command.main([video, *runs, *options]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == f"{video}: 1.6 s, 40 frames"
    assert lines[1].split() == ["class", "fused", "spatial", "temporal"]
    assert sum(" to " in line for line in lines) == 3
    assert printed.err == ""


def clip_run(folder: Path, house: Path) -> None:
    """A run of a network for clips of 8 frames, its weights somebody else's."""
    torch.manual_seed(2)
    net = models.video.r3d_18(weights=None, num_classes=4)
    torch.save(net.state_dict(), folder.with_suffix(".pth"))
    classes = list(Trained.open(house / "spatial", "spatial", CPU).run.classes)
    adopt(
        folder.with_suffix(".pth"),
        folder,
        network="r3d18",
        modality="rgb",
        classes=classes,
        store=lambda chosen: FAST.config().to_json(),
        asked=Adoption(length=8, stride=1, size=32),
    )


def test_a_folder_is_the_videos_in_it(tmp_path: Path) -> None:
    for name in ("b.avi", "a/c.mp4", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    inside = [str(tmp_path / "a/c.mp4"), str(tmp_path / "b.avi")]
    names = [Path("a/c.mp4"), Path("b.avi"), Path("0")]
    assert command.files_of([str(tmp_path), "0"]) == dict(zip([*inside, "0"], names, strict=True))
    assert list(command.files_of([inside[1]])) == inside[1:]


def test_runs_of_any_kind_are_given_by_run(house: Path, tmp_path: Path) -> None:
    """An adopted network for clips beside a temporal and a second spatial run: each is scored as
    in a store, and the average is that of all."""
    clip_run(tmp_path / "clips", house)
    paths = [tmp_path / "clips", house / "temporal", house / "spatial"]
    runs = open_runs({}, paths, CPU)
    assert list(runs) == ["spatial", "temporal", "spatial (spatial)"]
    source_of = DataOptions(house / "store", house / "lists", validation=0, empty_classes=True)
    views = Views(3, 1)
    tables = []
    for name, trained in runs.items():
        source = open_source(source_of, trained.scorer.inputs, ("test",))
        loop = LoopOptions(workers=0)
        tables.append(
            score_table(
                trained.scorer, source, "test", views, CPU, loop, stream=name, provenance={}
            )
        )
    fused = probabilities(average(tables))
    video = tables[0].videos[0]
    passes = plan_passes(runs, "auto", 1)
    fusing = Fusing(tables[0].classes, tuple(runs))
    found = predict(str(house / "videos" / f"{video}.avi"), passes, fusing, looking(views), CPU)
    for name, table in zip(runs, tables, strict=True):
        wanted = probabilities(table)[0]
        assert found.streams[name].probabilities == pytest.approx(wanted, abs=1e-4)
    assert found.whole.probabilities == pytest.approx(fused[0], abs=1e-4)


def test_a_fusion_beside_runs_answers_alone(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ["--run", str(house / "spatial"), "--run", str(house / "temporal"), "--views", "3x1"]
    answers = []
    for fusion in ("average", str(house / "fusion")):
        words = [a_video(house), *runs, "--fusion", fusion, "--json", "--quiet"]
        assert command.main(words) == 0
        answers.append(json.loads(capsys.readouterr().out)["videos"][0])
    averaged, alone = answers
    assert list(averaged["streams"]) == ["spatial", "temporal"]
    assert alone["top"] == alone["streams"]["fusion"]
    assert {k: v for k, v in alone["streams"].items() if k != "fusion"} == averaged["streams"]
    assert averaged["top"] not in list(averaged["streams"].values())


MISTAKES = [
    ([], "name at least one video"),
    (["VIDEO"], "give a trained run"),
    (["VIDEO", "--fusion", "average"], "give a trained run"),
    (["VIDEO", "--run", "RUN", "--run", "nowhere"], "nowhere is not a run folder"),
    (["VIDEO", "--run", "RUN", "--run", "RUN", "--weights", "1"], "1 weights for 2"),
    (["nowhere.mp4", "--spatial", "RUN"], "nowhere.mp4 does not exist"),
    (["VIDEO", "--spatial", "nowhere"], "nowhere is not a run folder"),
    (["VIDEO", "--temporal", "RUN"], "is a spatial run; give it as --spatial"),
    (["VIDEO", "--fusion", "RUN"], "is a spatial run; give it as --spatial"),
    (["VIDEO", "--spatial", "RUN", "--weights", "1", "2"], "2 weights for 1"),
    (["VIDEO", "--spatial", "RUN", "--window", "0"], "--window 0"),
    (["VIDEO", "--spatial", "RUN", "--views", "many"], "--views 'many'"),
    (["VIDEO", "--spatial", "RUN", "--top", "0"], "--top 0"),
    (["VIDEO", "--spatial", "RUN", "--overlay", "o.gif"], "must end in .mp4"),
    (["93", "--spatial", "RUN"], "no camera 93 here"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES)
def test_mistakes_are_one_line(
    arguments: list[str], said: str, house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"VIDEO": a_video(house), "RUN": str(house / "spatial")}
    assert command.main([words.get(word, word) for word in arguments] + ["--quiet"]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""


def test_like_takes_the_weights_of_an_average_and_of_nothing_else(tmp_path: Path) -> None:
    tables = [
        ScoreTable(("v", "w"), np.array([0, 1]), ("a", "b"), np.eye(2), stream=kind)
        for kind in ("temporal", "spatial")
    ]
    file = tmp_path / "like.npz"

    def like(table: ScoreTable) -> Fusing:
        table.save(file)
        return command.how_to_fuse(command.Options(("v.mp4",), like=file), KINDS, ("a", "b"))

    found = like(average(tables, [3, 1], "l1"))
    assert (found.streams, found.weights, found.normalise) == (KINDS, (1, 3), "l1")
    with pytest.raises(UserError, match=r"fuses temporal; the runs given are spatial, temporal"):
        like(average(tables[:1]))
    torn = {"method": "average", "streams": list(KINDS)}
    for made in ({}, {"fusion": "by hand"}, {"fusion": {"method": "svm"}}, {"fusion": torn}):
        with pytest.raises(UserError, match="is not an average"):
            like(replace(tables[0], provenance=made))
