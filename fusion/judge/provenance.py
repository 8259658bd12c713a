"""What a table's `provenance` says that the evaluation uses; anybody may have written it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from storage.scores import ScoreTable

COSTS = ("parameters", "flops", "seconds_per_video")


def fusion_of(table: ScoreTable) -> dict[str, Any] | None:
    """How a table was fused, always with `streams` (names) and `fit`; None for a single stream."""
    method = table.provenance.get("fusion")
    if not method and not table.stream.lower().startswith("fus"):
        return None
    fusion = method if isinstance(method, dict) else {"method": str(method or table.stream)}
    streams, fit = fusion.get("streams"), fusion.get("fit")
    return fusion | {
        "streams": [str(name) for name in streams] if isinstance(streams, list) else [],
        "fit": fit if isinstance(fit, dict) else {},
    }


def learned_lists(provenance: dict[str, Any], split: int) -> bool:
    """Whether scores of a split are of other lists or of another split than a network learned
    from: it may then know the videos. Of a fusion, whether one of its streams' are."""
    if provenance.get("other_lists") is True or provenance.get("trained_on_split", split) != split:
        return True
    sources = provenance.get("sources")
    each = sources.values() if isinstance(sources, dict) else ()
    return any(learned_lists(source, split) for source in each if isinstance(source, dict))


def unfinished(provenance: dict[str, Any]) -> bool:
    """Whether scores are of a run that was not trained to its end; of a fusion, one of its
    streams'."""
    if provenance.get("unfinished") is True:
        return True
    sources = provenance.get("sources")
    each = sources.values() if isinstance(sources, dict) else ()
    return any(unfinished(source) for source in each if isinstance(source, dict))


def how_fused(fusion: dict[str, Any], name: str) -> str:
    """Streams, weights that were found, and normalisation, as far as the table's name is silent."""
    parts = [" + ".join(fusion["streams"])] if fusion["streams"] else []
    weights = fusion.get("weights")
    if isinstance(weights, list) and all(_number(w) is not None for w in weights):
        ratio = ":".join(f"{w:.4g}" for w in weights)
        parts += [f"weights {ratio}"] if ratio not in name else []
    normalise = fusion.get("normalise")
    if isinstance(normalise, str) and normalise not in name:
        parts.append(f"normalised by {normalise}")
    return ", ".join(parts)


def state_of(provenance: dict[str, Any]) -> str:
    """Which state of a run was scored, and in which numbers: `step 1200, weights 1f2e, bf16`."""
    step, weights, precision = (provenance.get(k) for k in ("step", "weights", "precision"))
    said = [f"step {step}"] if _number(step) is not None else []
    said += [f"weights {weights}"] if isinstance(weights, str) and weights else []
    return ", ".join([*said, *([precision] if isinstance(precision, str) else [])])


def costs_of(provenance: dict[str, Any]) -> dict[str, float]:
    """Parameters, FLOPs and seconds a video, where stated; of a late fusion, its streams' sums."""
    own = {k: number for k in COSTS if (number := _number(provenance.get(k))) is not None}
    fusion, sources = provenance.get("fusion"), provenance.get("sources")
    streams = fusion.get("streams") if isinstance(fusion, dict) else None
    if own or not isinstance(streams, list) or not streams or not isinstance(sources, dict):
        return own
    own_sources = [sources.get(str(stream)) for stream in streams]
    each = [costs_of(source) if isinstance(source, dict) else {} for source in own_sources]
    return {k: sum(c[k] for c in each) for k in COSTS if all(k in c for c in each)}


def ceilings_of(joined: Sequence[ScoreTable]) -> dict[str, float]:
    """Table -> the accuracy that cannot be passed, from `provenance["ceiling"]`.

    That is a number, for the table that holds it, or {"spatial": ..., "fused": ...} for all.
    """
    stated = {t.stream: t.provenance["ceiling"] for t in joined if "ceiling" in t.provenance}
    known = {k: v for each in stated.values() if isinstance(each, dict) for k, v in each.items()}
    limits = {t.stream: known.get(t.stream if fusion_of(t) is None else "fused") for t in joined}
    limits |= {name: value for name, value in stated.items() if not isinstance(value, dict)}
    numbers = {name: _number(value) for name, value in limits.items()}
    return {name: value for name, value in numbers.items() if value is not None and 0 <= value <= 1}


def fitted_on(fusion: dict[str, Any] | None) -> str | None:
    """The part that a fusion was fitted on, in words; None where nothing was fitted."""
    fit = fusion["fit"] if fusion else {}
    if not fit:
        return None
    part = (
        "out-of-fold train" if fit.get("out_of_fold") else str(fit.get("part", "an unknown part"))
    )
    if isinstance(folds := fit.get("folds"), int):
        return f"other groups of the {part} part, in {folds} folds"
    return f"{part}, these very videos" if fit.get("same_videos") and part != "test" else part


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number with more than 308 digits
        return None
