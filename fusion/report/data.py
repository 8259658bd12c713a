"""An evaluation as plain JSON values: what report.json holds and what the page shows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fusion.compare import Additions, Comparison, Condition, ErrorKinds
from fusion.judge import (
    LEVEL,
    Evaluation,
    Figures,
    Measure,
    PrecisionRecall,
    SplitEvaluation,
    confusion,
    expected_noise,
    fitted_on,
    how_fused,
    state_of,
)
from fusion.report.ensemble import Ensemble
from fusion.report.features_map import FeatureMap
from fusion.report.runs import RunFigures
from fusion.report.systems import (
    addition_data,
    condition_data,
    ensemble_data,
    error_data,
    frontier_data,
    pair_data,
    ranking_data,
)
from fusion.scores import WeightCurve

if TYPE_CHECKING:
    from fusion.report.seen import Seen

FORMAT, VERSION = "twostream-report", 1


@dataclass(frozen=True)
class Extras:
    """What a report can show of a split beside its figures."""

    curves: list[WeightCurve] = field(default_factory=list)
    """On the split's own part."""
    fitted_curves: list[WeightCurve] = field(default_factory=list)
    """On validation scores, where these are given."""
    maps: list[FeatureMap] = field(default_factory=list)
    store: dict[str, Any] | None = None
    """How the store was made that the examples come from."""
    comparison: Comparison | None = None
    """None with one table."""
    additions: Additions | None = None
    ensemble: Ensemble | None = None
    no_ensemble: str = ""
    """Why there is none."""
    conditions: list[Condition] = field(default_factory=list)
    errors: ErrorKinds | None = None
    precision: list[PrecisionRecall] = field(default_factory=list)
    """One a table."""
    mean_precision: list[Measure | None] = field(default_factory=list)
    """The mAP of each table; None where no class has a video."""
    seen: Seen | None = None
    """What the networks of the runs look at."""


def report_data(
    evaluation: Evaluation,
    extras: list[Extras],
    runs: list[RunFigures],
    title: str,
    over_splits: Comparison | None = None,
) -> dict[str, Any]:
    """Everything the report says in numbers; NaN becomes null."""
    return plain(
        {
            "format": FORMAT,
            "version": VERSION,
            "title": title,
            "level": LEVEL,
            "draws": evaluation.draws,
            "seed": evaluation.seed,
            "averaged_splits": evaluation.averaged,
            "mean_over_splits": {n: asdict(m) for n, m in evaluation.mean.items()},
            "ranking_over_splits": ranking_data(over_splits) if over_splits else None,
            "pairs_over_splits": pair_data(over_splits, None) if over_splits else [],
            "splits": [
                split_data(s, extra) for s, extra in zip(evaluation.splits, extras, strict=True)
            ],
            "runs": [asdict(run) for run in runs],
        }
    )


def split_data(split: SplitEvaluation, extras: Extras) -> dict[str, Any]:
    tests = {test.name: test for test in split.tests}
    shown = shown_first(split)
    single = split.best_single(shown) if shown.fusion is not None else None
    common, share = split.most_frequent
    comparison = extras.comparison
    return {
        "split": split.split,
        "part": split.part,
        "videos": len(split.videos),
        "groups": split.groups,
        "grouping": split.grouping,
        "classes": split.classes,
        "best": split.best.name,
        "best_is_clear": split.best_is_clear,
        "chance": {
            "uniform": 1 / len(split.classes),
            "most_frequent": share,
            "class": split.classes[common],
        },
        "shown": shown.name,
        "compared_with": single.name if single else None,
        "oracle": asdict(split.oracle) if split.oracle else None,
        "tables": [
            table_data(
                f,
                split,
                extras.precision[i] if extras.precision else None,
                extras.mean_precision[i] if extras.mean_precision else None,
            )
            | {"test": asdict(tests[f.name]) if f.name in tests else None}
            for i, f in enumerate(split.figures)
        ],
        "store": extras.store,
        "curves": [curve_data(c) for c in (*extras.curves, *extras.fitted_curves)],
        "ranking": ranking_data(comparison) if comparison else None,
        "pairs": pair_data(comparison, extras.additions) if comparison else [],
        "additions": addition_data(extras.additions),
        "ensemble": ensemble_data(extras.ensemble),
        "no_ensemble": extras.no_ensemble,
        "seen": seen_data(extras.seen),
        "conditions": condition_data(extras.conditions),
        "errors": error_data(extras.errors),
        "frontier": frontier_data(split),
    }


def shown_first(split: SplitEvaluation) -> Figures:
    """The table that the page opens with: the best fusion, else the best table."""
    fusions = [f for f in split.figures if f.fusion is not None]
    honest = [f for f in fusions if not f.doubtful] or fusions
    return max(honest, key=lambda f: f.accuracy, default=split.best)


def table_data(
    figures: Figures,
    split: SplitEvaluation,
    precision: PrecisionRecall | None = None,
    mean_precision: Measure | None = None,
) -> dict[str, Any]:
    by_class, calibrated = figures.per_class, figures.calibration
    only, judged = figures.only_class, figures.judged
    matrix = confusion(figures.judged, split.labels, len(split.classes))
    rows, columns = np.nonzero(matrix)
    return {
        "name": figures.name,
        "fusion": figures.fusion,
        "how_fused": how_fused(figures.fusion, figures.name) if figures.fusion else "",
        "kind": figures.kind,
        "fitted_on": fitted_on(figures.fusion),
        "fitted_on_test": figures.fitted_on_test,
        "learned_lists": figures.learned_lists,
        "unfinished": figures.unfinished,
        "only_class": None if only is None else split.classes[only],
        **{f"top{k}": asdict(m) for k, m in figures.top.items()},
        "mean_class": asdict(figures.mean_class),
        "log_loss": figures.log_loss,
        "ece": calibrated.expected_error if calibrated else None,
        "overconfidence": calibrated.overconfidence if calibrated else None,
        "ece_if_calibrated": expected_noise(judged.confidence) if calibrated else None,
        "confidence_range": spread(judged.confidence) if calibrated else None,
        "mean_average_precision": mean_precision.value if mean_precision else None,
        "mean_average_precision_low": mean_precision.low if mean_precision else None,
        "mean_average_precision_high": mean_precision.high if mean_precision else None,
        "tied": figures.judged.tied,
        "ceiling": split.ceilings.get(figures.name),
        "costs": figures.costs,
        "state": state_of(figures.provenance),
        "reliability": asdict(calibrated) if calibrated else None,
        "per_class": {
            "videos": by_class.videos,
            "predicted": by_class.predicted,
            "right": by_class.right,
            "recall": by_class.recall,
            "precision": by_class.precision,
            "average_precision": precision.average if precision else None,
        },
        "confusion": np.stack([rows, columns, matrix[rows, columns]], axis=1),
        "made": figures.provenance,
    }


def seen_data(seen: Seen | None) -> list[dict[str, Any]]:
    """Of each run, which videos have pictures, or why there are none."""
    looks = seen.looks if seen else ()
    return [{"run": look.run, "videos": list(look.videos), "note": look.note} for look in looks]


def spread(confidence: NDArray[np.floating]) -> list[float]:
    """Between which values nine of ten confidences lie."""
    return [float(v) for v in np.quantile(confidence.astype(np.float64), [0.05, 0.95])]


def curve_data(curve: WeightCurve) -> dict[str, Any]:
    return asdict(curve) | {"best_share": curve.best_share}


def similar_order(figures: Figures, split: SplitEvaluation) -> NDArray[np.int64]:
    """(C,): the classes in an order in which those that are confused lie side by side."""
    classes = len(split.classes)
    if classes < 3:
        return np.arange(classes)
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    matrix = confusion(figures.judged, split.labels, classes).astype(float)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    distance = 1 - np.minimum(share + share.T, 1)
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform(distance, checks=False), "average")).astype(np.int64)


def plain(value: Any) -> Any:
    """JSON values: arrays to lists, NaN and infinity to None."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
