"""Pictures of what networks see, against what they must be; and the page around them."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusion.explanation.drawing import (
    drawn,
    filter_tiles,
    gradients,
    heat,
    lit,
    sheet,
    shown_steps,
    warmed,
)
from fusion.explanation.figures import Explanation, Figure, Section, file_name, moving, still
from fusion.explanation.page import write_explanation
from fusion.explanation.sequences import BAR, BARS, CELLS, WIDTH, strip_of
from storage.codecs import flow_to_rgb
from storage.errors import UserError


def test_an_edge_filter_is_drawn_black_grey_white() -> None:
    edge = np.tile(np.array([-1.0, 0, 1]), (1, 1, 3, 3, 1))
    (((picture,),)) = filter_tiles(edge, "rgb", 9)
    assert picture.shape == (9, 9, 3)
    assert picture[:, :3].max() == 1
    assert (picture[:, 3:6] == 128).all()
    assert picture[:, 6:].min() == 255


def test_a_filter_for_red_is_drawn_red_on_its_own_scale() -> None:
    red = np.zeros((2, 1, 3, 2, 2))
    red[0, 0, 0], red[1, 0, 0] = 0.001, 5.0
    tiles = filter_tiles(red, "rgb", 2)
    assert (tiles[:, 0] == (255, 128, 128)).all()


def test_a_filter_for_flow_has_the_colour_of_its_motion_and_one_scale_over_time() -> None:
    right, left = np.array([1.0, 0]), np.array([-0.5, 0])
    filters = np.stack([right, left])[None, :, :, None, None] * np.ones((1, 2, 2, 3, 3))
    tiles = filter_tiles(filters, "flow", 3)
    for step, motion in enumerate((right, left)):
        expected = flow_to_rgb(motion[:, None, None] * np.ones((2, 3, 3)), 1.0)
        np.testing.assert_array_equal(tiles[0, step], expected)


def test_frames_and_gradients_are_drawn_as_they_are() -> None:
    frame = np.zeros((1, 3, 2, 2))
    frame[0, 1] = 1.0
    assert (drawn(frame, "rgb") == (0, 255, 0)).all()
    grey = gradients(np.zeros((1, 3, 2, 2)), "rgb")
    assert (grey == 128).all()
    still_flow = drawn(np.zeros((1, 2, 4, 4)), "flow")
    assert (still_flow == 255).all()


def test_light_and_heat_leave_what_counts_and_take_away_the_rest() -> None:
    picture = np.full((1, 2, 2, 3), (200, 40, 40), np.uint8)
    share = np.array([[[1.0, 0], [0, 0]]])
    shown = lit(picture, share)
    assert tuple(shown[0, 0, 0]) == (200, 40, 40)
    assert tuple(shown[0, 1, 1]) == (40, 8, 8)
    warm = warmed(picture, share)
    assert warm[0, 1, 1].tolist() == [warm[0, 1, 1, 0]] * 3  # grey
    assert warm[0, 0, 0, 0] > warm[0, 0, 0, 2] + 40  # hot


def test_heat_rises() -> None:
    brightness = heat(np.linspace(0, 1, 20)).astype(float).sum(-1)
    assert (np.diff(brightness) > 0).all()


def test_a_sheet_has_every_tile_in_its_place() -> None:
    tiles = [[np.full((2, 3, 3), 10 * (3 * r + c), np.uint8) for c in range(3)] for r in range(2)]
    page = sheet(tiles, gap=1)
    assert page.shape == (5, 11, 3)
    assert (page[0:2, 4:7] == 10).all()
    assert (page[3:5, 8:11] == 50).all()
    assert (page[2] == 255).all()


def test_steps_are_spread_from_the_first_to_the_last() -> None:
    assert shown_steps(4) == [0, 1, 2, 3]
    assert shown_steps(16, 6) == [0, 3, 6, 9, 12, 15]


def test_a_moving_picture_has_all_its_pictures() -> None:
    pages = [np.full((4, 5, 3), value, np.uint8) for value in (0, 100, 200)]
    with Image.open(io.BytesIO(moving("m", pages, "", "").png)) as read:
        assert read.n_frames == 3  # type: ignore[attr-defined]
        for step, page in enumerate(pages):
            read.seek(step)
            np.testing.assert_array_equal(np.asarray(read.convert("RGB")), page)


def test_the_bars_of_a_strip_are_as_high_as_the_weights() -> None:
    weights = np.array([0.1, 0.6, 0.3, 0.0])
    strip = strip_of(weights)
    assert strip.shape == (BARS + CELLS, WIDTH, 3)
    for step, weight in enumerate(weights):
        middle = strip[:BARS, int((step + 0.4) * WIDTH / 4)]
        assert (middle == BAR).all(1).sum() == pytest.approx(BARS * weight / 0.6, abs=2)
    hottest = [strip[-1, int((step + 0.5) * WIDTH / 4)].astype(int).sum() for step in range(4)]
    assert np.argmax(hottest) == 1
    assert np.argmin(hottest) == 3


def explanation(*figures: Figure, name: str = "a video") -> Explanation:
    sections = [Section("Videos"), Section(name, lead="x", figures=list(figures), inner=True)]
    return Explanation("What it sees", "a network", sections, {"run": "r"}, {"videos": []})


def figure(name: str) -> Figure:
    return still(name, np.full((3, 4, 3), 9, np.uint8), "alt", "caption")


def test_the_page_needs_nothing_else_and_its_pictures_lie_beside_it(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    paths = write_explanation(explanation(figure("one"), name=evil), tmp_path / "out")
    assert sorted(p.name for p in paths) == ["explain.html", "explain.json", "one.png"]
    page = paths[0].read_text()
    assert evil not in page
    assert "default-src 'none'; img-src data:" in page
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(s.startswith(("data:image/png;base64,", "#")) for s in sources)
    HTMLParser().feed(page)
    said = json.loads(paths[1].read_text())
    assert said["pictures"] == ["one.png"]
    with Image.open(tmp_path / "out" / "one.png") as read:
        assert read.size == (4, 3)


def test_a_new_page_takes_the_place_of_the_old_one_and_of_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_explanation(explanation(figure("one"), figure("two")), out)
    (out / "mine.txt").write_text("mine")
    write_explanation(explanation(figure("two"), figure("three")), out)
    names = sorted(p.name for p in out.iterdir())
    assert names == ["explain.html", "explain.json", "mine.txt", "three.png", "two.png"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        write_explanation(explanation(figure("one")), tmp_path / "other")


def test_names_of_files_sort_and_hold_no_surprise() -> None:
    assert file_name(7, "Run/v_../g 01", "guided") == "007-Run_v__g_01-guided"
