"""The report's numbers for other programs: JSON, CSV and a LaTeX table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fusion.judge import COSTS, Evaluation
from fusion.report.system_rows import (
    Rows,
    addition_rows,
    condition_rows,
    ensemble_rows,
    mistake_rows,
    pair_rows,
)
from storage import atomic

MEASURES = ("top1", "top5", "top10", "mean_class")
OPTIONAL = {
    "pairs": ("pairs", pair_rows),
    "additions": ("additions", addition_rows),
    "ensemble": ("ensemble", ensemble_rows),
    "conditions": ("conditions", condition_rows),
    "errors": ("mistakes", mistake_rows),
}
"""Key of a split in the JSON -> name of the CSV file that it has, and its rows."""


def write_numbers(data: dict[str, Any], evaluation: Evaluation, stem: Path) -> list[Path]:
    """Write STEM.json and STEM.summary.csv, .classes, .confusions, .curves, .videos and .pairs.csv;
    .additions, .ensemble, .conditions and .mistakes.csv where the report has them."""
    paths = [_file(stem, "json")]
    atomic.write_text(paths[0], json.dumps(data, allow_nan=False) + "\n")
    there = {key: any(split[key] for split in data["splits"]) for key in OPTIONAL}
    for name, rows in {
        "summary": summary_rows(data),
        "classes": class_rows(data),
        "confusions": confusion_rows(data),
        "curves": curve_rows(data),
        "videos": video_rows(evaluation),
        **{OPTIONAL[key][0]: OPTIONAL[key][1](data) for key in OPTIONAL if there[key]},
    }.items():
        paths.append(_file(stem, f"{name}.csv"))
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        atomic.write_text(paths[-1], text.getvalue(), errors="surrogatepass")
    return paths


def _file(stem: Path, ending: str) -> Path:
    return stem.with_name(f"{stem.name}.{ending}")


def summary_rows(data: dict[str, Any]) -> Rows:
    """A row a table and split, and one for the mean over splits."""
    bounds = [f"{m}{end}" for m in MEASURES for end in ("", "_low", "_high")]
    tested = ("against", "gain", "gain_low", "gain_high", "p", "p_holm", "won", "lost")
    scalars = ("log_loss", "ece", "ceiling", "fitted_on_test", "learned_lists")
    precise = [f"mean_average_precision{end}" for end in ("", "_low", "_high")]
    added = (*precise, "unfinished", "rank", "alike", "better_than", "worse_than")
    yield ["split", "part", "table", *bounds, *scalars, *tested, *COSTS, *added]
    for split in data["splits"]:
        systems = split["ranking"]["systems"] if split["ranking"] else ()
        ranking = {row["name"]: row | {"alike": row["letters"]} for row in systems}
        for t in split["tables"]:
            measured = [
                t[m][key] if m in t else None for m in MEASURES for key in ("value", "low", "high")
            ]
            test = t["test"] or {}
            gain = test.get("gain") or {}
            yield [
                split["split"], split["part"], t["name"], *measured, *(t[s] for s in scalars),
                test.get("against"), gain.get("value"), gain.get("low"), gain.get("high"),
                *(test.get(key) for key in tested[4:]), *(t["costs"].get(c) for c in COSTS),
                *(t[key] for key in added[:4]),
                *(ranking.get(t["name"], {}).get(key) for key in added[4:]),
            ]  # fmt: skip
    for name, m in data["mean_over_splits"].items():
        yield ["mean", "", name, m["value"], m["low"], m["high"]]


def class_rows(data: dict[str, Any]) -> Rows:
    columns = ("videos", "predicted", "right", "recall", "precision", "average_precision")
    yield ["split", "table", "class", *columns]
    for split, t in _tables(data):
        values = [t["per_class"][column] for column in columns]
        for row in zip(split["classes"], *values, strict=True):
            yield [split["split"], t["name"], *row]


def confusion_rows(data: dict[str, Any]) -> Rows:
    yield ["split", "table", "true_class", "predicted_class", "videos"]
    for split, t in _tables(data):
        names = split["classes"]
        for true, predicted, videos in t["confusion"]:
            yield [split["split"], t["name"], names[true], names[predicted], videos]


def curve_rows(data: dict[str, Any]) -> Rows:
    yield ["split", "part", "first", "second", "normalise", "share", "accuracy", "low", "high"]
    for split in data["splits"]:
        for c in split["curves"]:
            named = [split["split"], c["part"], c["first"], c["second"], c["normalise"]]
            for point in zip(c["share"], c["accuracy"], c["low"], c["high"], strict=True):
                yield [*named, *point]


def video_rows(evaluation: Evaluation) -> Rows:
    """What every table says of every video: prediction, its probability, the true class's rank."""
    yield ["split", "part", "table", "video", "label", "predicted", "probability", "rank"]
    for split in evaluation.splits:
        names = split.classes
        for f in split.figures:
            answers = (f.judged.predicted, f.judged.confidence, f.judged.rank)
            columns = [split.labels.tolist(), *(array.tolist() for array in answers)]
            for video, label, predicted, sure, rank in zip(split.videos, *columns, strict=True):
                yield [
                    split.split, split.part, f.name, video, names[label], names[predicted],
                    f"{sure:.6g}" if f.judged.probable else "", rank + 1,
                ]  # fmt: skip


def _tables(data: dict[str, Any]) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    return ((split, table) for split in data["splits"] for table in split["tables"])


def latex_table(data: dict[str, Any]) -> str:
    """A booktabs table of top-1, top-5, mean class accuracy and gain, for each split."""
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{tabular}{llrrrr}",
        "\\toprule",
        "split & scores & top-1 (\\%) & 95\\,\\% interval & mean class (\\%) & gain, $p$ \\\\",
        "\\midrule",
    ]
    for split in data["splits"]:
        for t in split["tables"]:
            top, test = t["top1"], t["test"]
            gain = f"${100 * test['gain']['value']:+.2f}$, {_p(test['p_holm'])}" if test else "--"
            mark = "$^\\dagger$" if t["fitted_on_test"] or t["learned_lists"] else ""
            lines.append(
                f"{split['split']} & {latex_text(t['name'])}{mark} & {100 * top['value']:.2f} & "
                f"{_reach(top)} & {100 * t['mean_class']['value']:.2f} & {gain} \\\\"
            )
    for name, m in data["mean_over_splits"].items():
        lines.append(f"mean & {latex_text(name)} & {100 * m['value']:.2f} & {_reach(m)} & & \\\\")
    lines += ["\\bottomrule", "\\end{tabular}"]
    if any(t["fitted_on_test"] or t["learned_lists"] for _, t in _tables(data)):
        lines.append(
            "% dagger: fitted on the part that it is judged on, or scored on other lists than "
            "those learned from; no honest figure"
        )
    return "\n".join(lines) + "\n"


def _p(value: float) -> str:
    return "$< 0.0001$" if value < 1e-4 else f"{value:.2g}"


def _reach(measure: dict[str, Any]) -> str:
    if measure["low"] is None:
        return "--"
    return f"[{100 * measure['low']:.2f}, {100 * measure['high']:.2f}]"


LATEX = {
    "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", "&": "\\&", "%": "\\%", "$": "\\$",
    "#": "\\#", "_": "\\_", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
}  # fmt: skip


def latex_text(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in text)
