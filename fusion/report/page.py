"""The report's page as text: templates, style, script and data in one file."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from fusion.judge import Evaluation, SplitEvaluation
from fusion.report.chart_data import reliability_chart, run_charts, weight_charts
from fusion.report.data import Extras, plain, shown_first, similar_order
from fusion.report.examples import KINDS, choose_examples
from fusion.report.pictures import Strip, strip, wheel_picture
from fusion.report.runs import RunFigures
from storage.errors import UserError

if TYPE_CHECKING:
    from storage.store import Store

log = logging.getLogger(__name__)
SCRIPTS = (
    "core.js",
    "tables.js",
    "classes.js",
    "matrix_counts.js",
    "matrix_view.js",
    "matrix_drawing.js",
    "confusion.js",
    "map.js",
    "start.js",
)


def render(
    evaluation: Evaluation,
    extras: Sequence[Extras],
    data: dict[str, Any],
    runs: Sequence[RunFigures],
    store: Store | None,
) -> str:
    """The page as text."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    folder = files("fusion.report.templates")
    names = ("report.html", "split.html", "macros.html")
    source = {name: folder.joinpath(name).read_text("utf-8") for name in names}
    environment = Environment(
        loader=DictLoader(source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"pct": pct, "gain": gain, "p": p_text, "count": count_text}
    views = [
        split_view(split, extra, split_data, store)
        for split, extra, split_data in zip(evaluation.splits, extras, data["splits"], strict=True)
    ]
    hover = {
        c["id"]: c["hover"] for view in views for c in (*view["weights"], *view["reliability"])
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
        runs=training,
        kinds=KINDS,
        wheel=wheel_picture() if store is not None else None,
        style=folder.joinpath("report.css").read_text("utf-8"),
        script="\n".join(folder.joinpath(name).read_text("utf-8") for name in SCRIPTS),
        numbers=in_script(data),
        detail=in_script({"splits": detail, "charts": hover}),
    )


def split_view(
    split: SplitEvaluation, extras: Extras, data: dict[str, Any], store: Store | None
) -> dict[str, Any]:
    """What the templates need of one split beside its numbers."""
    tag = f"s{split.split}-{split.part}"
    weights = [
        chart | {"id": f"{tag}-weights-{i}", "hover": chart["chart"].hover()}
        for i, chart in enumerate(weight_charts(data["curves"]))
    ]
    reliability = []
    for i, table in enumerate(data["tables"]):
        if table["reliability"] is None:
            continue
        chart = reliability_chart(table, i)
        name = f"{tag}-calibration-{i}"
        reliability.append({"id": name, "chart": chart, "table": table, "hover": chart.hover()})
    cards, unseen = example_cards(split, store)
    return {
        "tag": tag,
        "data": data,
        "weights": weights,
        "reliability": reliability,
        "examples": cards,
        "unseen": unseen,
        "maps": extras.maps,
        "axis": interval_axis(data),
        "detail": {
            "tag": tag,
            "videos": list(split.videos),
            "labels": split.labels.tolist(),
            "predicted": [f.judged.predicted.tolist() for f in split.figures],
            "permille": [np.rint(1000 * f.judged.confidence).astype(int).tolist()
                         if f.judged.probable else None for f in split.figures],
            "similar": similar_order(shown_first(split), split).tolist(),
            "maps": [
                {"stream": m.stream, "method": m.method, "rows": m.rows.tolist(),
                 "place": np.round(m.place, 4).astype(float).round(4).tolist()}
                for m in extras.maps
            ],
        },
    }  # fmt: skip


Cards = dict[str, list[dict[str, Any]]]


def example_cards(split: SplitEvaluation, store: Store | None) -> tuple[Cards, list[str]]:
    """Kind -> cards: the video, its class, what each table says, its pictures; and why some lack.

    A damaged or missing video costs its picture and not the report.
    """
    chosen = choose_examples(split, shown_first(split))
    pictures: dict[int, Strip | None] = {}
    unseen: list[str] = []
    cards: dict[str, list[dict[str, Any]]] = {}
    for kind, examples in chosen.items():
        cards[kind] = []
        for example in examples:
            row = example.row
            if store is not None and row not in pictures:
                try:
                    pictures[row] = strip(store, split.videos[row])
                except UserError as error:
                    pictures[row] = None
                    unseen.append(str(error))
            picture = pictures.get(row)
            answers = [
                {
                    "table": f.name,
                    "class": split.classes[f.judged.predicted[row]],
                    "confidence": float(f.judged.confidence[row]) if f.judged.probable else None,
                    "right": bool(f.judged.right[row]),
                }
                for f in split.figures
            ]
            cards[kind].append(
                {
                    "video": split.videos[row],
                    "class": split.classes[split.labels[row]],
                    "answers": answers,
                    "picture": asdict(picture) if picture else None,
                }
            )
    if unseen:
        log.warning("%d examples have no picture: %s", len(unseen), unseen[0])
    return cards, unseen


def interval_axis(data: dict[str, Any]) -> dict[str, float]:
    """A common scale for the intervals in the summary, with room for oracle and ceilings."""
    measures = [t["top1"] for t in data["tables"]]
    values = [v for m in measures for v in (m["low"], m["value"], m["high"]) if v is not None]
    values += [t["ceiling"] for t in data["tables"] if t["ceiling"] is not None]
    if data["oracle"]:
        values.append(data["oracle"]["value"])
    low, high = min(values), max(values)
    room = max(0.04 * (high - low), 0.005)
    return {"low": max(0.0, low - room), "high": min(1.0, high + room)}


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


def count_text(value: float) -> str:
    """11176512 -> 11.2 M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"
