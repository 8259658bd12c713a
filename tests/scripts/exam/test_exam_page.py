"""The page of an exam in a real browser: every cell with its proof, on any screen, in any light."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_page import open_page
from exam_tables import exam_of, guesses, knows, ties

from scripts.exam.attention import Attention, Look, share_on_needle
from scripts.exam.page import drawn, render
from scripts.exam.pictures import TILE, Film, montage, webp
from scripts.exam.results import SIGNS, Matrix, judged

LOOK = Look("UpLeft/v_UpLeft_g001_c01", (0, 10, 20, 30), (0.1, 0.1, 0.7, 0.1), (22, 30), 80)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """Seeing, blind, short, a leak, and what is not determined."""
    answers = {"lstm": knows, "vlad": ties, "tsn-learned": guesses, "tsn": knows, "c3d": guesses}
    exam, _ = exam_of(tmp_path_factory.mktemp("exam"), "order", answers)
    return judged(exam)


@pytest.fixture(scope="module")
def file(result: Matrix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tile = np.full((64, 64, 3), 90, np.uint8)
    moments = [montage([tile, tile + 40 * i], [tile, tile]) for i in range(3)]
    side = moments[0].shape[0]
    films = {"order": Film(webp(moments, 100), webp(moments[:1], 0), ("A", "B"), 1.0, side, side)}
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render(result, films, Attention(0.7, 0.25, 40, (LOOK,)), 3600.0))
    return path


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    opened = open_page(browser, file)
    yield opened
    assert opened.complaints == []
    opened.close()


def test_a_cell_shows_its_sign_and_on_a_click_its_proof(page: Any, result: Matrix) -> None:
    cells = page.locator("details.cell")
    signs = [text.strip() for text in page.locator("details.cell .sign").all_text_contents()]
    assert signs == [SIGNS[cell.mark] for cell in result.cells]
    assert set(signs) == {SIGNS[m] for m in ("sees", "blind", "short", "leak", "undetermined")}
    cells.nth(1).locator("summary").click()
    proof = cells.nth(1).locator(".proof")
    assert proof.is_visible()
    text = proof.inner_text()
    assert "at most 50.0 %, for these very videos" in text
    assert result.cells[1].why in text
    cells.nth(0).locator("summary").click()
    assert not proof.is_visible(), "one proof at a time"
    page.keyboard.press("Escape")
    assert page.locator("details.cell[open]").count() == 0


def test_a_proof_stays_inside_the_window(page: Any, result: Matrix) -> None:
    page.set_viewport_size({"width": 900, "height": 500})
    for i in range(len(result.cells)):
        cell = page.locator("details.cell").nth(i)
        cell.scroll_into_view_if_needed()
        page.wait_for_timeout(50)
        cell.locator("summary").click()
        box = cell.locator(".proof").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 900
        page.keyboard.press("Escape")


@pytest.mark.parametrize("width", [360, 820, 1600])
def test_nothing_runs_over_the_edge(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".question img").first.bounding_box()["width"] > 0.9 * TILE


def test_light_and_dark(page: Any) -> None:
    def ink() -> str:
        return str(page.evaluate("getComputedStyle(document.body).color"))

    before = ink()
    page.click("#theme")
    assert ink() != before
    page.click("#theme")
    assert ink() == before


def test_who_wants_nothing_to_move_sees_a_still_picture(browser: Any, file: Path) -> None:
    for wish, name in (("reduce", "still"), ("no-preference", "uri")):
        opened = browser.new_page(reduced_motion=wish)
        opened.goto(file.as_uri())
        source = opened.locator(".question img").evaluate("image => image.currentSrc")
        still = opened.locator(".question source").get_attribute("srcset")
        assert (source == still) == (name == "still")
        opened.close()


def test_the_bars_of_attention_are_the_weights() -> None:
    bars = drawn(LOOK)["bars"]
    assert [bar["h"] for bar in bars] == pytest.approx([4, 4, 28, 4])
    assert drawn(LOOK)["on"] == 70


@pytest.mark.slow
def test_a_snapshot_is_on_the_needle_where_they_overlap() -> None:
    moments = np.arange(0, 76)
    on, uniform = share_on_needle(np.ones(76), moments, (20, 28))
    assert on == pytest.approx(uniform)
    assert uniform == pytest.approx((8 + 5 - 1) / 76)
    assert share_on_needle((moments == 16).astype(float), moments, (20, 28))[0] == 1.0
    assert share_on_needle((moments == 15).astype(float), moments, (20, 28))[0] == 0.0
    assert share_on_needle((moments == 27).astype(float), moments, (20, 28))[0] == 1.0
    assert share_on_needle((moments == 28).astype(float), moments, (20, 28))[0] == 0.0
