from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.report.charts import Chart, Line, Mark, number, ticks


def test_a_chart_is_whole_svg_and_its_text_is_escaped() -> None:
    chart = Chart(
        "<script>alert(1)</script>",
        [
            Line("a", [0, 1], [0.2, 0.4], low=[0.1, 0.3], high=[0.3, 0.5]),
            Line("b", [0.5], [0.3], 1),
        ],
        'share of "a" & <b>',
        "top-1",
        percent_y=True,
        marks=[Mark(0.5, "<half>", vertical=True), Mark(0.35, "ceiling")],
        bars=[(0, 0.5, 0.3)],
    )
    svg = chart.svg()
    assert "<script" not in svg
    root = ElementTree.fromstring(svg)
    kinds = [e.get("class") for e in root.iter()]
    assert {"band s0", "line s0", "dot s1", "bar", "mark"} <= set(kinds)
    assert any(e.text == 'share of "a" & <b>' for e in root.iter("text"))


def test_the_curve_runs_through_its_points() -> None:
    chart = Chart("t", [Line("a", [0, 10], [5, 7])], "x", "y")
    assert chart.px(0) < chart.px(10)
    assert chart.py(7) < chart.py(5)
    assert (
        f"M{chart.px(0):.1f} {chart.py(5):.1f}L{chart.px(10):.1f} {chart.py(7):.1f}" in chart.svg()
    )


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_within_the_range_and_evenly_spaced(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 7
    slack = 1e-6 * (abs(low) + span)
    assert all(low - slack <= t <= low + span + slack for t in found)


@pytest.mark.parametrize(
    ("value", "percent", "span", "text"),
    [
        (0.25, True, 1, "25"), (0.255, True, 0.01, "25.5"), (20000, False, 1e5, "20k"),
        (0.00025, False, 0.001, "2.5e-4"), (0, False, 0.001, "0"), (1.5, False, 3, "1.5"),
    ],
)  # fmt: skip
def test_tick_text(value: float, percent: bool, span: float, text: str) -> None:
    assert number(value, percent, span) == text


def test_a_flat_curve_and_a_chart_without_points() -> None:
    ElementTree.fromstring(Chart("t", [Line("a", [1, 2], [3, 3])], "x", "y").svg())
    ElementTree.fromstring(Chart("t", [], "x", "y").svg())
