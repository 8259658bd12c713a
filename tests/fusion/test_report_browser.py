"""The report in a real browser: what it shows, what it does, and that it fetches nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from browser_page import open_page
from report_inputs import HOSTILE, first_split, shown_number, two_classes

from fusion.report.report import Written, write_report


def test_the_numbers_on_the_page_are_those_of_the_json(page: Any, written: Written) -> None:
    split = json.loads(written.paths[1].read_text())["splits"][0]
    cells = page.locator("[data-split=s1-test] table.summary tbody tr")
    assert cells.count() == len(split["tables"])
    for i, table in enumerate(split["tables"]):
        row = cells.nth(i)
        assert row.locator("th .name").first.inner_text() == table["name"]
        assert row.locator("td.main .num").inner_text() == f"{100 * table['top1']['value']:.2f}"
    shown = next(t for t in split["tables"] if t["name"] == split["shown"])
    key = page.locator("[data-split=s1-test] [data-key=top1]").inner_text()
    assert key == f"{100 * shown['top1']['value']:.2f} %"


def test_hostile_names_are_shown_as_they_are(page: Any) -> None:
    assert page.title() == f"Report {HOSTILE}"
    assert page.locator("h1").inner_text() == f"Report {HOSTILE}"
    names = page.locator("[data-split=s1-test] table.classes tbody th").all_inner_texts()
    assert HOSTILE in names
    assert page.locator("script").count() == 3
    assert page.locator("img[onerror]").count() == 0


def test_a_heading_sorts_its_table_both_ways(page: Any, written: Written) -> None:
    heading = page.locator("[data-split=s1-test] table.summary thead th").nth(2)
    values = [t["top1"]["value"] for t in first_split(written)["tables"]]
    for way, expected in [("descending", sorted(values)[::-1]), ("ascending", sorted(values))]:
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == way
        shown = page.locator("[data-split=s1-test] td.main .num").all_inner_texts()
        assert shown == [f"{100 * v:.2f}" for v in expected]


def test_classes_show_gain_and_loss_of_the_tables_chosen(page: Any, written: Written) -> None:
    split = first_split(written)
    root = page.locator("[data-split=s1-test]")
    root.locator(".pick-shown").select_option(label="temporal")
    root.locator(".pick-other").select_option(label="spatial")
    recall = {t["name"]: t["per_class"]["recall"] for t in split["tables"]}
    gains = {
        name: 100 * (a - b)
        for name, a, b in zip(split["classes"], recall["temporal"], recall["spatial"], strict=True)
    }
    rows = root.locator("table.classes tbody tr")
    shown = {
        rows.nth(i).locator("th").inner_text(): rows.nth(i).locator("td").nth(3).inner_text()
        for i in range(rows.count())
    }
    for name, gain in gains.items():
        assert float(shown[name].replace("−", "-").replace("±", "")) == pytest.approx(
            gain, abs=0.06
        )
    up = sum(g > 1e-9 for g in gains.values())
    assert root.locator(".class-balance .up").inner_text() == (
        "1 class improves" if up == 1 else f"{up} classes improve"
    )
    ordered = [float(x.replace("−", "-").replace("±", "")) for x in shown.values()]
    assert ordered == sorted(ordered, reverse=True)
    root.locator(".find-class").fill("DIVING")
    assert rows.locator("visible=true").all_inner_texts() != []
    assert [rows.nth(i).is_visible() for i in range(6)].count(True) == 1


CELLS = [(row, column) for row in range(6) for column in range(6)]


def told_by_keys(root: Any) -> dict[tuple[int, int], int]:
    """What the matrix says of each of CELLS, as the arrow keys go through them."""
    canvas = root.locator(".matrix canvas")
    canvas.focus()
    canvas.press("ArrowRight")  # the first key takes the first cell
    told = {}
    for row, column in CELLS:
        told[row, column] = int(root.locator(".readout").get_attribute("data-count"))
        canvas.press("ArrowRight")
        if column == 5:
            for _ in range(6):
                canvas.press("ArrowLeft")
            canvas.press("ArrowDown")
    return told


def test_pointing_at_the_matrix_tells_the_cell(page: Any, written: Written) -> None:
    split = first_split(written)
    root = page.locator("[data-split=s1-test]")
    root.locator(".pick-order").select_option("list")
    canvas = root.locator(".matrix canvas")
    canvas.scroll_into_view_if_needed()
    counts = {
        (row, column): n
        for row, column, n in next(
            t for t in split["tables"] if t["name"] == split["shown"]
        )["confusion"]
    }  # fmt: skip
    assert told_by_keys(root) == {cell: counts.get(cell, 0) for cell in CELLS}
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + box["height"] - 3)
    assert root.locator(".readout").inner_text().startswith("Fencing: ")
    canvas.press("Enter")
    diagonal = counts.get((5, 5), 0)
    assert root.locator(".cell-videos li").count() == diagonal
    assert f"{diagonal} videos of Fencing" in root.locator(".cell-videos b").inner_text()


def test_a_confused_pair_is_zoomed_to(page: Any, written: Written) -> None:
    split = first_split(written)
    root = page.locator("[data-split=s1-test]")
    shown = next(t for t in split["tables"] if t["name"] == split["shown"])
    row, column, n = max((c for c in shown["confusion"] if c[0] != c[1]), key=lambda c: c[2])
    button = root.locator(".pairs button").first
    assert button.locator(".num").inner_text().startswith(f"{n} of ")
    button.click()
    assert root.locator(".readout").get_attribute("data-count") == str(n)
    assert root.locator(".cell-videos li").count() == n
    before = drawn(page)
    root.locator(".nearer").click()
    assert drawn(page) != before
    readout = root.locator(".readout").inner_text()
    assert readout.startswith(f"{split['classes'][row]} taken for {split['classes'][column]}: {n} ")
    zoomed = drawn(page)
    root.locator(".whole").click()
    assert drawn(page) != zoomed


def drawn(page: Any) -> str:
    return str(page.evaluate("document.querySelector('.matrix canvas').toDataURL()"))


def test_what_is_out_of_sight_is_drawn_when_it_comes_near(page: Any) -> None:
    empty = "!document.querySelector('.matrix canvas').dataset.drawn"
    assert page.evaluate(f"{empty} && !document.querySelector('.heat canvas').dataset.drawn")
    page.locator(".matrix canvas").first.scroll_into_view_if_needed()
    page.wait_for_selector(".matrix canvas[data-drawn]")


def test_pointing_at_a_curve_tells_its_values(page: Any, written: Written) -> None:
    curve = first_split(written)["curves"][0]
    area = page.locator("[data-chart=s1-test-weights-0] .plot-area")
    area.scroll_into_view_if_needed()
    area.focus()
    page.keyboard.press("ArrowRight")
    tip = page.locator("#tip")
    assert f"{100 * curve['accuracy'][1]:.1f} %" in tip.inner_text()
    assert "1.0 %" in tip.inner_text()
    area.hover()
    assert f"share of {curve['second']}" in tip.inner_text()


def test_the_map_of_features_tells_the_video_under_the_pointer(page: Any) -> None:
    canvas = page.locator("[data-split=s1-test] .feature-map canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(100)
    box = canvas.bounding_box()
    at = page.evaluate("detail().splits[0].maps[0].place[7]")
    side = min(box["width"], box["height"]) - 24
    x = box["x"] + (box["width"] - side) / 2 + at[0] * side
    page.mouse.move(x, box["y"] + (box["height"] - side) / 2 + (1 - at[1]) * side)
    assert "spatial says" in page.locator("#tip").inner_text()


def test_another_split_can_be_shown(page: Any, written: Written) -> None:
    page.locator("#which-split").select_option("s2-test")
    assert not page.locator("[data-split=s1-test]").is_visible()
    second = page.locator("[data-split=s2-test]")
    table = written.data["splits"][1]["tables"][0]
    shown = second.locator("td.main .num").first.inner_text()
    assert shown == f"{100 * table['top1']['value']:.2f}"
    page.locator("#confusions").scroll_into_view_if_needed()  # made when it comes near
    page.locator("#confusions .pairs button").first.wait_for(timeout=10_000)


def test_light_and_dark(page: Any) -> None:
    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = paper()
    page.locator(".matrix canvas").first.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    canvas = drawn(page)
    page.locator("#theme").click()
    assert paper() != light
    assert drawn(page) != canvas
    page.locator("#theme").click()
    assert paper() == light
    page.evaluate("delete document.documentElement.dataset.theme")
    page.emulate_media(color_scheme="dark")
    assert paper() != light
    page.emulate_media(media="print")
    assert not page.locator("header.bar").is_visible()


def test_a_phone_is_not_scrolled_sideways(browser: Any, written: Written) -> None:
    phone = open_page(browser, written.paths[0], viewport={"width": 360, "height": 740})
    assert phone.evaluate("document.documentElement.scrollWidth") == 360
    phone.locator(".matrix canvas").first.scroll_into_view_if_needed()
    assert phone.locator(".matrix canvas").first.bounding_box()["width"] > 250
    assert phone.complaints == []
    phone.close()


def test_every_control_has_a_name(page: Any) -> None:
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, canvas")].filter((e) =>
             !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length))
             .map((e) => e.outerHTML)"""
    )
    assert unnamed == []


def test_the_menu_is_in_the_order_of_the_page(page: Any) -> None:
    links = page.evaluate("[...document.querySelectorAll('nav a')].map((a) => a.hash.slice(1))")
    places = page.evaluate(
        "(ids) => ids.map((id) => document.getElementById(id).getBoundingClientRect().top)", links
    )
    assert len(links) == 13
    assert places == sorted(places)
    assert links[-1] == "made"
    assert page.locator("#made details[open]").count() == 0


def test_a_finger_is_told_to_touch_and_that_tables_are_wider(
    browser: Any, written: Written
) -> None:
    settings = {"has_touch": True, "is_mobile": True, "viewport": {"width": 390, "height": 800}}
    phone = open_page(browser, written.paths[0], **settings)
    assert phone.locator(".by-pointer >> visible=true").count() == 0
    assert phone.locator(".by-touch >> visible=true").count() > 2
    hints = phone.locator("#summary .scroll-hint")
    assert "Scroll sideways" in hints.first.inner_text()
    root = phone.locator("[data-split=s1-test]")
    canvas = root.locator(".matrix canvas")
    canvas.scroll_into_view_if_needed()
    phone.wait_for_timeout(100)
    box = canvas.bounding_box()
    phone.touchscreen.tap(box["x"] + box["width"] - 4, box["y"] + box["height"] - 4)
    assert root.locator(".readout").get_attribute("data-count") is not None
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    assert phone.complaints == []
    phone.close()


def test_two_classes_take_little_room(browser: Any, tmp_path: Path) -> None:
    done = write_report(two_classes(), tmp_path / "two.html")
    opened = open_page(browser, done.paths[0])
    assert opened.locator(".matrix canvas").bounding_box()["width"] < 300
    assert opened.locator(".matrices table").count() == 3
    assert opened.locator(".skyline").bounding_box()["width"] < 250
    headings = opened.locator("table.summary thead th").all_inner_texts()
    assert not any("Top-5" in heading for heading in headings)
    counts = opened.locator(".matrices table").first.locator("td").all_inner_texts()
    assert sum(int(n) for n in counts if n) == 60
    assert opened.complaints == []
    opened.close()


@pytest.mark.slow
def test_two_matrices_can_be_held_against_each_other(page: Any, written: Written) -> None:
    split = first_split(written)
    root = page.locator("[data-split=s1-test]")
    root.locator(".pick-matrix").select_option(label="temporal")
    root.locator(".pick-less").select_option(label="spatial")
    root.locator(".pick-order").select_option("list")
    change: dict[tuple[int, int], int] = {}
    for name, sign in (("temporal", 1), ("spatial", -1)):
        table = next(t for t in split["tables"] if t["name"] == name)
        for row, column, n in table["confusion"]:
            change[row, column] = change.get((row, column), 0) + sign * n
    assert told_by_keys(root) == {cell: change.get(cell, 0) for cell in CELLS}
    assert root.locator(".side h3").inner_text() == "Most changed"
    most = max((n for (i, j), n in change.items() if i != j), key=abs)
    first = root.locator(".pairs .num").first.inner_text()
    assert shown_number(first.replace("+", "")) in (most, -most)
