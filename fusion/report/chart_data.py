"""The report's line charts: weights, calibration, learning curves."""

from __future__ import annotations

from typing import Any

from fusion.judge import BINS
from fusion.report.charts import Chart, Line, Mark
from fusion.report.runs import RunFigures

MOST_RUN_CHARTS = 4
FIRST = ("loss", "top1", "top5", "lr")


def weight_charts(curves: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One chart a pair of streams and part, with a line a normalisation; `at` counts the pairs of
    a part."""
    by_pair: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for curve in curves:
        by_pair.setdefault((curve["first"], curve["second"], curve["part"]), []).append(curve)
    charts: list[dict[str, Any]] = []
    for (first, second, part), group in by_pair.items():
        lines = [
            Line(
                c["normalise"], c["share"], c["accuracy"], i,
                low=c["low"] if i == 0 else None, high=c["high"] if i == 0 else None,
            )
            for i, c in enumerate(group)
        ]  # fmt: skip
        chart = Chart(
            title=f"{first} and {second}",
            lines=lines,
            x_label=f"share of {second}, %",
            y_label="top-1, %",
            percent_x=True,
            percent_y=True,
            x_range=(0, 1),
        )
        at = sum(each["part"] == part for each in charts)
        charts.append({"chart": chart, "part": part, "curves": group, "at": at})
    return charts


def reliability_chart(table: dict[str, Any], colour: int) -> Chart:
    """Accuracy over confidence; the diagonal is what confidence should mean."""
    bins = table["reliability"]
    total = sum(bins["videos"])
    bars = []
    for sure, videos in zip(bins["confidence"], bins["videos"], strict=True):
        start = min(int(sure * BINS), BINS - 1) / BINS
        bars.append((start, start + 1 / BINS, videos / total))
    return Chart(
        title=table["name"],
        lines=[
            Line("perfect", [0, 1], [0, 1], 7, dashed=True),
            Line("accuracy", bins["confidence"], bins["accuracy"], colour, dots=True),
        ],
        x_label="confidence, %",
        y_label="accuracy, %",
        percent_x=True,
        percent_y=True,
        x_range=(0, 1),
        y_range=(0, 1),
        bars=bars,
        size=(350, 250),
    )


def ensemble_chart(ensemble: dict[str, Any]) -> Chart:
    """Accuracy over the number of members: where they were chosen, on folds there, and judged."""
    path = ensemble["path"]
    steps = [float(i + 1) for i in range(len(path))]
    top = [row["top1"] for row in path]
    known = top[0]["low"] is not None
    lines = [
        Line(
            "judged", steps, [t["value"] for t in top], 0, dots=True,
            low=[t["low"] for t in top] if known else None,
            high=[t["high"] for t in top] if known else None,
        ),
        Line("where it was chosen", steps, [row["fitted"] for row in path], 7, dashed=True),
    ]  # fmt: skip
    if path[0]["held_out"] is not None:
        held = [row["held_out"] for row in path]
        lines.append(Line("there, on folds not chosen on", steps, held, 1, dots=True))
    return Chart(
        "Ensemble",
        lines,
        "members",
        "top-1, %",
        percent_y=True,
        marks=[Mark(float(ensemble["length"]), "chosen", vertical=True)],
        x_range=(0.5, len(path) + 0.5),
    )


def run_charts(run: RunFigures) -> list[Chart]:
    """One chart a figure (loss, top1, ...), with a line a part (train, validation)."""
    by_figure: dict[str, list[str]] = {}
    for name in run.series:
        by_figure.setdefault(name.rsplit("/", 1)[-1], []).append(name)
    order = sorted(by_figure, key=lambda f: FIRST.index(f) if f in FIRST else len(FIRST))
    charts = []
    for figure in order[:MOST_RUN_CHARTS]:
        lines = []
        for i, name in enumerate(sorted(by_figure[figure])):
            points = run.series[name]
            lines.append(
                Line(
                    name.rsplit("/", 1)[0],
                    [x for x, _ in points],
                    [y for _, y in points],
                    i,
                    dots=len(points) <= 40,
                )
            )
        share = figure.startswith(("top", "acc"))
        label = f"{figure}, %" if share else figure
        charts.append(Chart(f"{run.name}: {figure}", lines, "step", label, percent_y=share))
    return charts
