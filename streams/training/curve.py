"""The learning curve of a run as a picture."""

from __future__ import annotations

from math import nan
from pathlib import Path
from typing import Any

from storage import atomic


def draw_curve(rows: list[dict[str, Any]], path: Path, title: str) -> None:
    """Loss and top-1 over the steps, training and validation, with the learning rate below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    loss, top1 = figure.subplots(1, 2)
    for part, colour in (("train", "#8a8f98"), ("validation", "#c2410c")):
        part_rows = [row for row in rows if row["part"] == part]
        steps = [row["step"] for row in part_rows]
        mark = "o" if part == "validation" else None
        loss.plot(
            steps, [r["loss"] for r in part_rows], color=colour, marker=mark, ms=3, label=part
        )
        top1.plot(
            steps, [100 * r.get("top1", nan) for r in part_rows], color=colour, marker=mark, ms=3
        )
    rates = [row for row in rows if "lr" in row]
    rate = loss.twinx()
    rate.plot([r["step"] for r in rates], [r["lr"] for r in rates], color="#0369a1", lw=0.8, ls=":")
    rate.set_ylabel("learning rate (dotted)", color="#0369a1")
    loss.set(xlabel="step", ylabel="loss", title=title)
    top1.set(xlabel="step", ylabel="top-1, %", ylim=(0, 101))
    for axes in (loss, top1):
        axes.xaxis.get_major_locator().set_params(integer=True)
    loss.legend(frameon=False)
    with atomic.replacing(path, alone=True) as draft:
        figure.savefig(draft, dpi=110)
