"""What the templates need of one split beside its numbers: charts, cards, what the script reads."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from fusion.judge import SplitEvaluation
from fusion.report.chart_data import ensemble_chart, reliability_chart, weight_charts
from fusion.report.data import Extras, shown_first, similar_order
from fusion.report.examples import choose_examples
from fusion.report.pictures import Strip, strip
from fusion.report.scatter import Scatter, Spot, short_number
from storage.errors import UserError

if TYPE_CHECKING:
    from storage.store import Store

log = logging.getLogger(__name__)

MOST_ANSWERS = 6
"""Systems whose answers stand on a card."""
FEW_CLASSES = 5
"""Up to so many, every system's confusions are written out beside each other."""
COST_NAMES = {
    "parameters": ("Parameters", ""),
    "flops": ("FLOPs a video", ""),
    "seconds_per_video": ("Seconds a video", " s"),
}


def split_view(
    split: SplitEvaluation, extras: Extras, data: dict[str, Any], store: Store | None
) -> dict[str, Any]:
    """The view of a split; `charts` and `detail` are for the script."""
    tag = f"s{split.split}-{split.part}"
    weights = [
        chart
        | {"id": f"{tag}-weights-{i}", "hover": chart["chart"].hover(), "fold": chart["at"] >= 3}
        for i, chart in enumerate(weight_charts(data["curves"]))
    ]
    places = {row["name"]: row["rank"] for row in (data["ranking"] or {"systems": ()})["systems"]}
    reliability = []
    for i, table in enumerate(data["tables"]):
        if table["reliability"] is None:
            continue
        chart = reliability_chart(table, i)
        name = f"{tag}-calibration-{i}"
        reliability.append(
            {"id": name, "chart": chart, "table": table, "hover": chart.hover(),
             "verdict": calibration_words(table)}
        )  # fmt: skip
    reliability.sort(key=lambda r: places.get(r["table"]["name"], 0) if len(places) > 8 else 0)
    cards, unseen = example_cards(split, store, places)
    ensemble = ensemble_chart(data["ensemble"]) if data["ensemble"] else None
    name = f"{tag}-ensemble"
    return {
        "tag": tag,
        "data": data,
        "places": places,
        "weights": weights,
        "reliability": reliability,
        "ensemble": {"id": name, "chart": ensemble, "hover": ensemble.hover()}
        if ensemble
        else None,
        "costs": cost_pictures(data),
        "matrices": small_matrices(split) if len(split.classes) <= FEW_CLASSES else [],
        "examples": cards,
        "unseen": unseen,
        "maps": extras.maps,
        "seen": extras.seen,
        "axis": interval_axis(data),
        "detail": {
            "tag": tag,
            "videos": list(split.videos),
            "labels": split.labels.tolist(),
            "predicted": [f.judged.predicted.tolist() for f in split.figures],
            "permille": [np.rint(1000 * f.judged.confidence).astype(int).tolist()
                         if f.judged.probable else None for f in split.figures],
            "similar": similar_order(shown_first(split), split).tolist(),
            "precision": [whole_percents(found.curves) for found in extras.precision],
            "maps": [
                {"stream": m.stream, "method": m.method, "rows": m.rows.tolist(),
                 "place": np.round(m.place, 4).astype(float).round(4).tolist()}
                for m in extras.maps
            ],
        },
    }  # fmt: skip


def whole_percents(curves: np.ndarray) -> list[list[int] | None]:
    """(C, levels) precisions as whole percents; None for a class without videos."""
    return [
        None if np.isnan(row).any() else np.rint(100 * row).astype(int).tolist() for row in curves
    ]


def calibration_words(table: dict[str, Any]) -> str:
    """What the calibration of a table says, and where it says nothing."""
    low, high = table["confidence_range"]
    if table["only_class"] is not None:
        return "one answer for every video: says nothing of how sure it may be"
    if high - low < 0.02:
        return "the same confidence for nearly every video: says nothing of how sure it may be"
    noise, error = table["ece_if_calibrated"], table["ece"]
    usual = f"{100 * noise:.1f} % is usual with so few videos"
    if error < 1.5 * noise:
        return f"no worse than a calibrated system's: {usual}"
    way = "too sure" if table["overconfidence"] > 0 else "too unsure"
    return f"{way} by {100 * abs(table['overconfidence']):.1f} points"


def cost_pictures(data: dict[str, Any]) -> list[dict[str, Any]]:
    """One picture a cost that at least two systems state."""
    pictures = []
    for cost, (label, unit) in COST_NAMES.items():
        # Anybody may have written a cost; what is no size of this world is not drawn.
        known = [t for t in data["tables"] if 1e-12 < t["costs"].get(cost, 0) < 1e30]
        if len({t["costs"][cost] for t in known}) < 2:
            continue
        spots = []
        for t in known:
            top = t["top1"]
            words = (
                f"{t['name']}\n{100 * top['value']:.1f} %, {short_number(t['costs'][cost])}{unit}"
            )
            leads = t["name"] in data["frontier"][cost]
            spots.append(
                Spot(t["name"], t["costs"][cost], top["value"], top["low"], top["high"],
                     leads, words)
            )  # fmt: skip
        pictures.append({"label": label, "svg": Scatter("Accuracy and cost", spots, label).svg()})
    return pictures


def small_matrices(split: SplitEvaluation) -> list[dict[str, Any]]:
    """Every system's confusions, written out: rows are true classes."""
    from fusion.judge import confusion

    classes = len(split.classes)
    found = []
    for f in split.figures:
        counts = confusion(f.judged, split.labels, classes)
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        found.append({"name": f.name, "counts": counts.tolist(), "share": share.tolist()})
    return found


Cards = dict[str, list[dict[str, Any]]]


def example_cards(
    split: SplitEvaluation, store: Store | None, places: dict[str, int]
) -> tuple[Cards, list[str]]:
    """Kind -> cards: the video, its class, what each table says, its pictures; and why some lack.

    A damaged or missing video costs its picture and not the report.
    """
    chosen = choose_examples(split, shown_first(split))
    answering = speakers(split, places)
    pictures: dict[int, Strip | None] = {}
    unseen: list[str] = []
    cards: Cards = {}
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
                for f in answering
            ]
            cards[kind].append(
                {
                    "video": split.videos[row],
                    "class": split.classes[split.labels[row]],
                    "answers": answers,
                    "right": sum(bool(f.judged.right[row]) for f in split.figures),
                    "of": len(split.figures),
                    "picture": asdict(picture) if picture else None,
                }
            )
    if unseen:
        log.warning("%d examples have no picture: %s", len(unseen), unseen[0])
    return cards, unseen


def speakers(split: SplitEvaluation, places: dict[str, int]) -> Sequence[Any]:
    """Whose answers a card shows: all of a few; of many, the one shown first, what it is compared
    with, and the most accurate others."""
    if len(split.figures) <= MOST_ANSWERS:
        return split.figures
    shown = shown_first(split)
    single = split.best_single(shown)
    first = [shown, *([single] if single and single is not shown else [])]
    others = sorted((f for f in split.figures if f not in first), key=lambda f: places[f.name])
    return [*first, *others][:MOST_ANSWERS]


def interval_axis(data: dict[str, Any]) -> dict[str, float]:
    """A common scale for the intervals in the summary, with room for oracle, ceilings, and for
    chance where that is not too far away."""
    measures = [t["top1"] for t in data["tables"]]
    values = [v for m in measures for v in (m["low"], m["value"], m["high"]) if v is not None]
    values += [t["ceiling"] for t in data["tables"] if t["ceiling"] is not None]
    if data["oracle"]:
        values.append(data["oracle"]["value"])
    low, high = min(values), max(values)
    chance = data["chance"]["most_frequent"]
    if low - chance <= max(1.5 * (high - low), 0.1):
        low, high = min(low, chance), max(high, chance)
    room = max(0.04 * (high - low), 0.005)
    return {"low": max(0.0, low - room), "high": min(1.0, high + room)}
