"""Many systems in a report in a real browser: ranking, pairs, heat map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser_page import open_page
from made_up_scores import made_up
from report_inputs import HOSTILE, first_split, shown_number

from fusion.report.report import ReportInputs, Written, write_report


def names_of(split: dict[str, Any]) -> list[str]:
    return [row["name"] for row in split["ranking"]["systems"]]


def pair_of(split: dict[str, Any], one: str, other: str) -> tuple[dict[str, Any], int]:
    """The pair, and 1 or -1: whether `one` comes first in it."""
    pair = next(p for p in split["pairs"] if {p["name"], p["against"]} == {one, other})
    return pair, 1 if pair["name"] == one else -1


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
            assert shown_number(gain) == pytest.approx(
                100 * sign * pair["gain"]["value"], abs=0.006
            )
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
                    assert shown_number(cells[i][j]) == pytest.approx(wanted, abs=0.51)
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
