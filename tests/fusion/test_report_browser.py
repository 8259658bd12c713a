"""The report in a real browser: what it shows, what it does, and that it fetches nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up_scores import made_up
from report_inputs import HOSTILE, everything, two_classes
from surroundings import missing_system_part

from fusion.report.report import ReportInputs, Written, write_report


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing_system_part("Chromium", "apt-get install --no-install-recommends chromium")
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=quiet)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("report")
    return write_report(everything(folder), folder / "report.html")


@pytest.fixture
def page(browser: Any, written: Written) -> Iterator[Any]:
    """The report, opened; at the end nothing may have gone wrong or out."""
    opened = open_page(browser, written.paths[0])
    yield opened
    assert opened.complaints == []
    opened.close()


def open_page(browser: Any, path: Path, **settings: Any) -> Any:
    opened = browser.new_page(**({"viewport": {"width": 1280, "height": 900}} | settings))
    complaints: list[str] = []
    opened.complaints = complaints
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    opened.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else complaints.append(request.url)
        ),
    )
    opened.goto(path.as_uri())
    opened.wait_for_selector("html[data-ready=yes]")
    opened.add_style_tag(content="html { scroll-behavior: auto !important }")
    return opened


def first_split(written: Written) -> dict[str, Any]:
    split: dict[str, Any] = written.data["splits"][0]
    return split


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
    at = page.evaluate("detail.splits[0].maps[0].place[7]")
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
    assert page.locator("#confusions .pairs button").first.is_visible()


def test_light_and_dark(page: Any) -> None:
    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = paper()
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


def names_of(split: dict[str, Any]) -> list[str]:
    return [row["name"] for row in split["ranking"]["systems"]]


def pair_of(split: dict[str, Any], one: str, other: str) -> tuple[dict[str, Any], int]:
    """The pair, and 1 or -1: whether `one` comes first in it."""
    pair = next(p for p in split["pairs"] if {p["name"], p["against"]} == {one, other})
    return pair, 1 if pair["name"] == one else -1


def number(text: str) -> float:
    return float(text.split("\n")[0].split(" ")[0].replace("−", "-").replace("±", ""))


def test_the_menu_is_in_the_order_of_the_page(page: Any) -> None:
    links = page.evaluate("[...document.querySelectorAll('nav a')].map((a) => a.hash.slice(1))")
    places = page.evaluate(
        "(ids) => ids.map((id) => document.getElementById(id).getBoundingClientRect().top)", links
    )
    assert len(links) == 12
    assert places == sorted(places)
    assert links[-1] == "made"
    assert page.locator("#made details[open]").count() == 0


def test_the_ranking_tells_gain_and_p_over_the_system_chosen(page: Any, written: Written) -> None:
    split = first_split(written)
    names = names_of(split)
    root = page.locator("[data-split=s1-test]")
    for other in names[:2]:
        root.locator(".pick-reference").select_option(label=other)
        rows = root.locator(".ranking tbody tr")
        for i, name in enumerate(names):
            assert rows.nth(i).get_attribute("data-name") == name
            gain = rows.nth(i).locator(".ref-gain").inner_text()
            if name == other:
                assert gain == "–"
                continue
            pair, sign = pair_of(split, name, other)
            assert number(gain) == pytest.approx(100 * sign * pair["gain"]["value"], abs=0.006)
            won = [pair["won"], pair["lost"]][::sign]
            assert rows.nth(i).locator(".ref-won").inner_text() == f"{won[0]} / {won[1]}"


def test_the_matrix_of_pairs_holds_every_pair_twice(page: Any, written: Written) -> None:
    split = first_split(written)
    names = names_of(split)
    root = page.locator("[data-split=s1-test]")
    for view, of in [
        ("gain", lambda pair, sign: 100 * sign * pair["gain"]["value"]),
        ("won", lambda pair, sign: pair["won"] if sign > 0 else pair["lost"]),
        ("disagree", lambda pair, sign: 100 * pair["disagree"]),
    ]:
        root.locator(".pick-pairs").select_option(view)
        rows = root.locator(".pair-matrix tbody tr").all()
        cells = [row.locator("td").all_inner_texts() for row in rows]
        for i, one in enumerate(names):
            for j, other in enumerate(names):
                if i == j:
                    assert cells[i][j] == ""
                else:
                    wanted = of(*pair_of(split, one, other))
                    assert number(cells[i][j]) == pytest.approx(wanted, abs=0.51)
    root.locator(".pair-matrix tbody tr").nth(0).locator("td").nth(1).hover()
    told = page.locator("#tip").inner_text()
    assert f"{names[0]} against {names[1]}" in told


def test_the_heat_map_tells_class_and_system_and_opens_the_curve(
    page: Any, written: Written
) -> None:
    split = first_split(written)
    names = names_of(split)
    root = page.locator("[data-split=s1-test]")
    root.locator(".heat-order").select_option("list")
    canvas = root.locator(".heat canvas")
    canvas.focus()
    canvas.press("ArrowRight")
    canvas.press("ArrowDown")
    canvas.press("ArrowRight")
    table = next(t for t in split["tables"] if t["name"] == names[1])
    told = root.locator(".heat-read").get_attribute("data-recall")
    assert float(told) == table["per_class"]["recall"][1]
    assert HOSTILE in root.locator(".heat-read").inner_text()
    canvas.press("Enter")
    figure = root.locator(".precision")
    assert HOSTILE in figure.locator("figcaption").inner_text()
    average = table["per_class"]["average_precision"][1]
    assert f"{names[1]} AP {100 * average:.1f} %" in figure.locator(".legend").inner_text()
    assert figure.locator("path.line").count() == len(names)


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
def test_twenty_systems_are_compared_and_none_is_left_out(browser: Any, tmp_path: Path) -> None:
    tables = [
        made_up(f"system {k}", classes=30, videos=300, groups=60, skill=0.5 + 0.1 * k,
                provenance={"parameters": 1e6 * (k + 1)})
        for k in range(20)
    ]  # fmt: skip
    done = write_report(ReportInputs(tables, draws=100), tmp_path / "twenty.html")
    opened = open_page(browser, done.paths[0])
    split = first_split(done)
    names = names_of(split)
    assert opened.locator(".ranking tbody tr").count() == 20
    assert opened.locator(".pair-matrix tbody td").count() == 400
    assert opened.locator(".scatter .spot").count() == 20
    assert opened.locator("[data-section=calibration] .plot >> visible=true").count() == 9
    opened.locator("[data-section=calibration] details summary").click()
    assert opened.locator("[data-section=calibration] .plot >> visible=true").count() == 20
    canvas = opened.locator(".heat canvas")
    canvas.scroll_into_view_if_needed()
    opened.locator(".heat-order").select_option("list")
    opened.wait_for_timeout(100)
    box = canvas.bounding_box()
    opened.mouse.move(box["x"] + box["width"] - 3, box["y"] + box["height"] - 3)
    last = next(t for t in split["tables"] if t["name"] == names[-1])
    told = opened.locator(".heat-read").get_attribute("data-recall")
    assert float(told) == last["per_class"]["recall"][29]
    opened.locator(".ranking thead th button").nth(4).click()  # by gain, from the most on
    gains = opened.locator(".ranking .ref-gain").evaluate_all(
        "(all) => all.map((c) => c.dataset.value)"
    )
    known = [float(value) for value in gains if value]
    assert len(known) == 19
    assert known == sorted(known, reverse=True)
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
    assert number(first.replace("+", "")) in (most, -most)
