"""Previews: the right frames, the right colours, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import video_files

from flow.algorithms.table import algorithm
from flow.extraction.extract import extract_video
from flow.extraction.recipe import Recipe
from flow.pictures.preview import StoredVideo, full_speed, wheel_disc, write_film, write_strip
from scripts.preview import main
from storage.store.store import open_store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A video in which everything moves 2 px to the right, and a store of it."""
    folder = tmp_path_factory.mktemp("preview")
    video = video_files.write(
        folder / "right.mkv", video_files.moving(20, 65, 97, [2] * 19), codec="ffv1",
        pixels="yuv444p",
    )  # fmt: skip
    recipe = Recipe(flow=algorithm("dis"), codec="raw", frame_codec="raw")
    with open_store(folder / "store", "w", recipe.config()) as store:
        extract_video(video, "a/right", store, recipe)
    return video, folder / "store"


def shown(store: Path) -> StoredVideo:
    return StoredVideo(open_store(store), "a/right", "forward")


def test_the_scale_is_the_motion(made: tuple[Path, Path]) -> None:
    assert full_speed(shown(made[1])) == pytest.approx(2, abs=0.3)


def test_a_film_shows_every_pair(made: tuple[Path, Path], tmp_path: Path) -> None:
    assert write_film(shown(made[1]), tmp_path / "a.mp4", 2.0, 500) == 19
    with av.open(str(tmp_path / "a.mp4")) as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert film.streams.video[0].average_rate == 25
    assert len(pictures) == 19
    assert pictures[0].shape == (66, 97 + 6 + 97 + 0, 3)
    rgb = shown(made[1]).pair(7)[0]
    assert rgb is not None
    assert np.abs(pictures[7][:65, :97].astype(int) - rgb).mean() < 12
    middle = pictures[7][10:40, 97 + 6 + 20 : 97 + 6 + 70].reshape(-1, 3).mean(axis=0)
    assert middle[0] > 180  # to the right is red
    assert middle[1:].max() < 90


def test_a_strip_shows_the_first_and_the_last_pair(made: tuple[Path, Path], tmp_path: Path) -> None:
    assert write_strip(shown(made[1]), tmp_path / "a.png", 2.0, 3) == 3
    strip = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
    width = 97 + 6
    for column, index in enumerate((0, 9, 18)):
        left = 6 + column * width
        assert np.array_equal(strip[34 : 34 + 65, left : left + 97], shown(made[1]).pair(index)[0])


def test_more_columns_than_pairs(made: tuple[Path, Path], tmp_path: Path) -> None:
    assert write_strip(shown(made[1]), tmp_path / "a.png", 2.0, 90) == 19


def test_the_wheel_points_where_the_motion_goes() -> None:
    disc, inside = wheel_disc(51)
    assert tuple(disc[25, 44]) > (200, 0, 0)  # right: red
    assert disc[25, 44][0] > 200 > disc[25, 44][2]
    assert disc[25, 6][2] > disc[25, 6][0]  # left: cyan to blue
    assert (disc[25, 25] > 240).all()  # rest: white
    assert not inside[0, 0]


def test_the_command_with_a_store_and_with_a_file(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    video, store = made
    monkeypatch.chdir(tmp_path)
    assert main(["a/right", "--store", str(store)]) == 0
    assert (tmp_path / "right_flow.mp4").stat().st_size > 1000
    assert "19 of 19 pairs; full colour is 2." in capsys.readouterr().out
    how = ["--flow", "dis", "--short-side", "64", "--limit", "5", "--out", "b.png"]
    assert main([str(video), *how]) == 0
    assert "5 of 5 pairs" in capsys.readouterr().out


def test_a_store_without_frames_shows_flow_alone(tmp_path: Path, made: tuple[Path, Path]) -> None:
    recipe = Recipe(flow=algorithm("dis"), frame_codec="none")
    with open_store(tmp_path / "s", "w", recipe.config()) as store:
        extract_video(made[0], "a/right", store, recipe)
    assert write_strip(shown(tmp_path / "s"), tmp_path / "a.png", 2.0, 2) == 2
    write_film(shown(tmp_path / "s"), tmp_path / "a.mp4", 2.0, 3)
    with av.open(str(tmp_path / "a.mp4")) as film:
        assert film.streams.video[0].width == 98


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nope", "--store", "{store}"], "'nope' is not in"),
        (["RIGHT", "--store", "{store}"], "near are a/right"),
        (["a/right", "--store", "nowhere"], "not a store"),
        (["nope.avi"], "an id needs --store"),
        (["{video}", "--out", "x.gif"], "ends in neither"),
        (["{video}", "--out", "{video}"], "is the video itself"),
        (["a/right", "--store", "{store}", "--field", "warped"], "warped"),
        (["a/right", "--store", "{store}", "--columns", "0"], "--columns"),
        (["a/right", "--store", "{store}", "--full", "0"], "--full"),
        (["a/right", "--store", "{store}", "--out", "no/where/x.png"], "cannot be written"),
        (["a/right", "--store", "{store}", "--out", "no/where/x.mp4"], "cannot be written"),
        (["{text}"], "cannot open"),
    ],
)
def test_mistakes_are_one_line(
    made: tuple[Path, Path], tmp_path: Path, arguments: list[str], says: str,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "text.avi").write_text("no video")
    monkeypatch.chdir(tmp_path)
    names = {"store": made[1], "video": made[0], "text": tmp_path / "text.avi"}
    assert main([argument.format(**names) for argument in arguments]) == 2
    errors = capfd.readouterr().err
    assert says in errors
    assert "Traceback" not in errors
