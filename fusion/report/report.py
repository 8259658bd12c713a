"""The report: one HTML file that needs nothing else, and its numbers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.compare import (
    Comparison,
    additions,
    class_parts,
    compare,
    compare_splits,
    conditions,
    error_kinds,
    read_parts,
)
from fusion.judge import (
    DRAWS,
    Evaluation,
    SplitEvaluation,
    evaluate,
    mean_average_precision,
    precision_of_classes,
    resample,
)
from fusion.report.data import Extras, report_data
from fusion.report.ensemble import find_ensemble
from fusion.report.features_map import feature_map
from fusion.report.files import latex_table, write_numbers
from fusion.report.page import render
from fusion.report.pictures import store_facts
from fusion.report.runs import read_run, with_parameters
from fusion.report.seen import look_at_runs
from fusion.report.video_facts import video_facts
from fusion.scores import WeightCurve, weight_curves
from storage import atomic
from storage.errors import UserError
from storage.scores import ScoreTable
from storage.videos import PARTS

if TYPE_CHECKING:
    from storage.store import Store

CURVE_DRAWS = 500


@dataclass
class ReportInputs:
    """What a report is made from."""

    tables: Sequence[ScoreTable]
    """Streams and fusions, of one or more splits."""
    fit: Sequence[ScoreTable] = ()
    """Validation scores of the streams; their weight curve is drawn beside the test part's."""
    store: Store | None = None
    """Where the examples' frames and flow are read."""
    runs: Sequence[str | Path] = ()
    """Run folders whose learning curves and recipes are shown, and what their networks look at."""
    features: Sequence[str | Path] = ()
    """Feature stores of the runs of sequences among them."""
    title: str = "Two-stream report"
    ceilings: dict[str, Any] = field(default_factory=dict)
    """{"spatial": 0.25, "fused": 1.0}: accuracies that cannot be passed on these videos."""
    parts: Path | None = None
    """CSV file that says which classes share an object, a motion, ...; else their names may."""
    map_method: str = "tsne"
    common_only: bool = False
    draws: int = DRAWS
    seed: int = 0


@dataclass(frozen=True)
class Written:
    """What a report left on disk, and its numbers."""

    paths: list[Path]
    data: dict[str, Any]
    evaluation: Evaluation


def write_report(inputs: ReportInputs, out: str | Path, latex: bool = False) -> Written:
    """Judge the tables and write OUT.html, and OUT.json and CSV files beside it."""
    page = Path(out)
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {page} must end in .html; its numbers go beside it")
    if not page.parent.is_dir():
        raise UserError(f"{page.parent} is not a folder; make it first")
    tables = [
        with_parameters(_with_ceilings(table, inputs.ceilings), inputs.runs)
        for table in inputs.tables
    ]
    evaluation = evaluate(
        tables, draws=inputs.draws, seed=inputs.seed, common_only=inputs.common_only
    )
    runs = [read_run(run) for run in inputs.runs]
    seen = look_at_runs(
        inputs.runs,
        evaluation.splits,
        inputs.store.folder if inputs.store is not None else None,
        [Path(path) for path in inputs.features],
    )
    extras = [
        replace(_extras(split, inputs), seen=shown)
        for split, shown in zip(evaluation.splits, seen, strict=True)
    ]
    data = report_data(evaluation, extras, runs, inputs.title, _over_splits(evaluation))
    stem = page.with_suffix("")
    paths = [page, *write_numbers(data, evaluation, stem)]
    html = render(evaluation, extras, data, runs, inputs.store)
    atomic.write_text(page, html, errors="replace")
    if latex:
        paths.append(stem.with_name(stem.name + ".tex"))
        atomic.write_text(paths[-1], latex_table(data), errors="replace")
    return Written(paths, data, evaluation)


def _with_ceilings(table: ScoreTable, ceilings: dict[str, Any]) -> ScoreTable:
    if not ceilings or "ceiling" in table.provenance:
        return table
    return replace(table, provenance=table.provenance | {"ceiling": ceilings})


def _extras(split: SplitEvaluation, inputs: ReportInputs) -> Extras:
    counts = resample(split.groups, min(inputs.draws, CURVE_DRAWS), inputs.seed)
    maps = [feature_map(table, inputs.map_method, inputs.seed) for table in split.tables]
    draws, seed = inputs.draws, inputs.seed
    facts = video_facts(inputs.store, split.videos) if inputs.store is not None else {}
    parts = read_parts(inputs.parts, split.classes) if inputs.parts else class_parts(split.classes)
    mine = [table for table in inputs.fit if table.split == split.split]
    precision = [precision_of_classes(table) for table in split.tables]
    ensemble, why_none = find_ensemble(split, mine, draws, seed, inputs.common_only)
    return Extras(
        curves=weight_curves(split.single_tables, split.group, counts),
        fitted_curves=_fitted_curves(mine, inputs),
        maps=[m for m in maps if m is not None],
        store=store_facts(inputs.store, split.videos) if inputs.store is not None else None,
        comparison=compare(split, draws, seed) if len(split.figures) > 1 else None,
        additions=additions(split, draws, seed),
        ensemble=ensemble,
        no_ensemble=why_none,
        conditions=conditions(split, facts, min(draws, CURVE_DRAWS), seed),
        errors=error_kinds(split, parts) if parts else None,
        precision=precision,
        mean_precision=[
            None
            if found.mean is None
            else mean_average_precision(table, found.mean, split.group, split.groups, draws, seed)
            for table, found in zip(split.tables, precision, strict=True)
        ],
    )


def _over_splits(evaluation: Evaluation) -> Comparison | None:
    """All pairs over the splits that are averaged; None where there is nothing to compare."""
    if len(evaluation.mean) < 2:
        return None
    by_part = [[s for s in evaluation.splits if s.part == part] for part in PARTS]
    splits = next(
        found for found in by_part if tuple(s.split for s in found) == evaluation.averaged
    )
    return compare_splits(splits, list(evaluation.mean), evaluation.draws, evaluation.seed)


def _fitted_curves(fitted: list[ScoreTable], inputs: ReportInputs) -> list[WeightCurve]:
    """The curves on validation scores of a split, which is where a weight may be chosen."""
    if len(fitted) < 2:
        return []
    judged = evaluate(fitted, draws=2, common_only=inputs.common_only).splits[0]
    counts = resample(judged.groups, min(inputs.draws, CURVE_DRAWS), inputs.seed)
    return weight_curves(list(judged.tables), judged.group, counts)
