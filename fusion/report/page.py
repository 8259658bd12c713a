"""The report's page as text: templates, style, script and data in one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fusion.judge import Evaluation
from fusion.page import page_environment, page_part
from fusion.report.chart_data import run_charts
from fusion.report.data import Extras, plain
from fusion.report.examples import KINDS
from fusion.report.pictures import wheel_picture
from fusion.report.runs import RunFigures
from fusion.report.scatter import short_number
from fusion.report.seen import picture_height, picture_uri
from fusion.report.split_page import split_view

if TYPE_CHECKING:
    from storage.store import Store

OWN = "fusion.report"
SECTIONS = (
    ("summary", "Summary"),
    ("systems", "Systems"),
    ("classes", "Classes"),
    ("confusions", "Confusions"),
    ("mistakes", "Mistakes"),
    ("weights", "Weights"),
    ("ensemble", "Ensemble"),
    ("calibration", "Calibration"),
    ("conditions", "Conditions"),
    ("examples", "Examples"),
    ("features", "Features"),
    ("seen", "What they see"),
    ("training", "Training"),
    ("statistics", "How to read"),
    ("made", "How it was made"),
)
SCRIPTS = (
    "core.js",
    "tables.js",
    "systems.js",
    "classes.js",
    "heat.js",
    "precision.js",
    "matrix_counts.js",
    "matrix_view.js",
    "matrix_drawing.js",
    "confusion.js",
    "map.js",
)
START = "start.js"
"""Behind all others."""


def render(
    evaluation: Evaluation,
    extras: Sequence[Extras],
    data: dict[str, Any],
    runs: Sequence[RunFigures],
    store: Store | None,
) -> str:
    """The page as text."""
    environment = page_environment(
        {
            "pct": pct,
            "gain": gain,
            "p": p_text,
            "count": short_number,
            "uri": picture_uri,
            "tall": picture_height,
        },
        OWN,
    )
    environment.tests["contains"] = lambda videos, video: video in videos
    views = [
        split_view(split, extra, split_data, store)
        for split, extra, split_data in zip(evaluation.splits, extras, data["splits"], strict=True)
    ]
    hover = {
        c["id"]: c["hover"]
        for view in views
        for c in (*view["weights"], *view["reliability"], view["ensemble"])
        if c
    }
    training = []
    for number, run in enumerate(runs):
        charts = run_charts(run)
        ids = [f"run-{number}-{i}" for i in range(len(charts))]
        hover |= {i: c.hover() for i, c in zip(ids, charts, strict=True)}
        training.append({"run": run, "charts": list(zip(ids, charts, strict=True))})
    detail = [view.pop("detail") for view in views]
    return environment.get_template("report.html").render(
        data=data,
        views=views,
        menu=sections(views[0], runs),
        runs=training,
        kinds=KINDS,
        wheel=wheel_picture() if store is not None else None,
        style=page_part("page.css"),
        script="\n".join(
            [
                *(page_part(name, OWN) for name in SCRIPTS),
                page_part("theme.js"),
                page_part(START, OWN),
            ]
        ),
        numbers=in_script(data),
        detail=in_script({"splits": detail, "charts": hover}),
    )


def sections(view: dict[str, Any], runs: Sequence[RunFigures]) -> list[tuple[str, str]]:
    """Id and title of every section, in the order of the page; the menu is made of them."""
    data = view["data"]
    there = {
        "systems": data["ranking"] is not None,
        "mistakes": data["errors"] is not None,
        "weights": bool(view["weights"]),
        "ensemble": len(data["tables"]) > 1,
        "calibration": bool(view["reliability"]),
        "conditions": bool(data["conditions"]),
        "features": bool(view["maps"]),
        "seen": view["seen"] is not None,
        "training": bool(runs),
    }
    return [(name, title) for name, title in SECTIONS if there.get(name, True)]


def in_script(value: Any) -> str:
    """JSON that may stand inside a <script>: no letter in it can end the element."""
    text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def pct(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def gain(value: float | None, digits: int = 2) -> str:
    """Points with a sign; a true minus, as wide as the plus."""
    return "–" if value is None else f"{100 * value:+.{digits}f}".replace("-", "−")


def p_text(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
