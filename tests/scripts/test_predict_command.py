"""`twostream predict` as a command: which files, what it prints, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch
from predict_material import (
    CPU,
    FAST,
    KINDS,
    a_video,
    looking,
    scored,
)

from fusion import average
from fusion.judge.normalisation import probabilities
from fusion.report.video_timeline import Fusing
from scripts import predict as command
from scripts.prediction.prediction import plan_passes, predict
from scripts.prediction.trained import Trained, open_runs
from storage import ScoreTable, UserError
from streams.networks.torchvision_compat import models
from streams.samples.options import DataOptions
from streams.samples.source import open_source
from streams.scoring.scoring import Views, score_table
from streams.training.adoption import adopt
from streams.training.options import Adoption, LoopOptions

Run = Callable[..., CompletedProcess[str]]


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
