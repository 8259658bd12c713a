"""A split's systems together, as plain values: ranking, pairs, additions, errors, conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

from fusion.compare import (
    Additions,
    Comparison,
    Condition,
    ErrorKinds,
    alike_groups,
    letter,
    letters,
    on_frontier,
)
from fusion.judge import COSTS, SplitEvaluation
from fusion.report.ensemble import Ensemble


def ranking_data(comparison: Comparison) -> dict[str, Any]:
    """Systems from the most accurate on, with the letters that they share with those that they
    cannot be told apart from."""
    order = comparison.order
    apart = comparison.apart[order][:, order]
    groups = alike_groups(apart)
    names = [comparison.names[i] for i in order]
    worse = apart & (comparison.gain[order][:, order] > 0)
    rows = [
        {
            "rank": place + 1,
            "name": name,
            "accuracy": comparison.accuracy[i],
            "letters": label,
            "better_than": int(worse[place].sum()),
            "worse_than": int(worse[:, place].sum()),
        }
        for place, (i, name, label) in enumerate(
            zip(order, names, letters(groups, len(order)), strict=True)
        )
    ]
    alike = {letter(i): [names[k] for k in group] for i, group in enumerate(groups)}
    return {"systems": rows, "alike": alike}


def pair_data(comparison: Comparison, found: Additions | None) -> list[dict[str, Any]]:
    """Every pair once, the more accurate first; `together` is None where one is a fusion."""
    at = {name: i for i, name in enumerate(found.names)} if found else {}
    rows = []
    for a, b in combinations(comparison.order, 2):
        name, against = comparison.names[a], comparison.names[b]
        both = found is not None and name in at and against in at
        rows.append(
            {
                "name": name,
                "against": against,
                "gain": {
                    "value": comparison.gain[a, b],
                    "low": comparison.low[a, b],
                    "high": comparison.high[a, b],
                },
                "p": comparison.p[a, b],
                "p_holm": comparison.p_holm[a, b],
                "won": comparison.won[a, b],
                "lost": comparison.won[b, a],
                "disagree": comparison.disagree[a, b],
                "together": found.together[at[name], at[against]] if found and both else None,
            }
        )
    return rows


def addition_data(found: Additions | None) -> dict[str, Any] | None:
    if found is None:
        return None
    rows = []
    for i, (name, only, test) in enumerate(zip(found.names, found.only, found.added, strict=True)):
        others = [k for k in range(len(found.names)) if k != i]
        partner = max(others, key=lambda k: found.together[i, k])
        rows.append(
            {
                "name": name,
                "only": only,
                "gain": asdict(test.gain),
                "p": test.p,
                "p_holm": test.p_holm,
                "partner": found.names[partner],
                "together": found.together[i, partner],
            }
        )
    return {"normalise": found.normalise, "everything": found.everything, "systems": rows}


def ensemble_data(ensemble: Ensemble | None) -> dict[str, Any] | None:
    if ensemble is None:
        return None
    path = ensemble.path
    return {
        "normalise": ensemble.normalise,
        "fit": ensemble.fit,
        "chosen_from": ensemble.names,
        "weights": ensemble.shares,
        "length": path.length,
        "path": [
            {
                "added": ensemble.names[member],
                "fitted": path.fitted[i],
                "held_out": path.held[i] if path.held else None,
                "top1": asdict(ensemble.accuracy[i]),
            }
            for i, member in enumerate(path.members)
        ],
        "test": asdict(ensemble.test),
    }


def condition_data(found: Sequence[Condition]) -> list[dict[str, Any]]:
    return [asdict(condition) for condition in found]


def error_data(errors: ErrorKinds | None) -> dict[str, Any] | None:
    if errors is None:
        return None
    return {
        "parts": errors.parts.names,
        "source": errors.parts.source,
        "kinds": errors.kinds,
        "by_chance": errors.by_chance,
        "share": errors.share,
        "wrong": errors.wrong,
    }


def frontier_data(split: SplitEvaluation) -> dict[str, list[str]]:
    """Cost -> the systems that no other one beats at the same cost or less."""
    found = {}
    for cost in COSTS:
        known = [f for f in split.figures if cost in f.costs]
        if known:
            flags = on_frontier([f.costs[cost] for f in known], [f.accuracy for f in known])
            found[cost] = [f.name for f, flag in zip(known, flags, strict=True) if flag]
    return found
