"""CSV rows of what a report says of systems together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Rows = Iterable[Sequence[Any]]


def pair_rows(data: dict[str, Any]) -> Rows:
    """Every pair of a split, the more accurate first; `mean` over the splits."""
    measured = ("p", "p_holm", "won", "lost", "disagree", "together")
    yield ["split", "part", "table", "against", "gain", "gain_low", "gain_high", *measured]
    over = [("mean", "", pair) for pair in data["pairs_over_splits"]]
    for split, part, pair in [*_of_splits(data, "pairs"), *over]:
        gain = (pair["gain"][key] for key in ("value", "low", "high"))
        yield [split, part, pair["name"], pair["against"], *gain, *(pair[k] for k in measured)]


def addition_rows(data: dict[str, Any]) -> Rows:
    columns = ("p", "p_holm", "only", "partner", "together")
    yield ["split", "part", "table", "adds", "adds_low", "adds_high", *columns]
    for split in data["splits"]:
        for row in (split["additions"] or {"systems": ()})["systems"]:
            gain = (row["gain"][key] for key in ("value", "low", "high"))
            yield [split["split"], split["part"], row["name"], *gain, *(row[c] for c in columns)]


def ensemble_rows(data: dict[str, Any]) -> Rows:
    columns = ("split", "part", "members", "added", "fitted", "held_out")
    yield [*columns, "top1", "top1_low", "top1_high", "chosen"]
    for split in data["splits"]:
        ensemble = split["ensemble"] or {"path": (), "length": 0}
        for i, row in enumerate(ensemble["path"], 1):
            top = (row["top1"][key] for key in ("value", "low", "high"))
            said = (row["added"], row["fitted"], row["held_out"])
            yield [split["split"], split["part"], i, *said, *top, i == ensemble["length"]]


def condition_rows(data: dict[str, Any]) -> Rows:
    yield [
        *("split", "part", "condition", "unit", "from", "to", "videos"),
        *("table", "top1", "top1_low", "top1_high"),
    ]
    for split, part, c in _of_splits(data, "conditions"):
        for name, measures in c["accuracy"].items():
            for i, m in enumerate(measures):
                said = (c["name"], c["unit"], c["low"][i], c["high"][i], c["videos"][i])
                yield [split, part, *said, name, m["value"], m["low"], m["high"]]


def mistake_rows(data: dict[str, Any]) -> Rows:
    yield ["split", "part", "table", "kind", "share_of_videos", "share_of_errors_by_chance"]
    for split in data["splits"]:
        errors = split["errors"] or {"share": {}}
        for name, shares in errors["share"].items():
            for kind, share, chance in zip(
                errors["kinds"], shares, errors["by_chance"], strict=True
            ):
                yield [split["split"], split["part"], name, kind, share, chance]


def _of_splits(data: dict[str, Any], key: str) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    for split in data["splits"]:
        for item in split[key]:
            yield split["split"], split["part"], item
