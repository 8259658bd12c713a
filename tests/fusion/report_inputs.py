"""A report with everything in it, small: streams, fusions, a leak, a store, a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from made_up_scores import made_up

import fusion
from fusion.report.report import ReportInputs, Written
from storage import ScoreTable, StoreConfig, open_store

HOSTILE = '<img src=x onerror=alert(1)></script><script>alert("a\'&b")</script>{{ 7 * 7 }}'
CLASSES = ("Archery", HOSTILE, "\u202eevil", "Diving & co", "E_\\mu$", "Fencing")


def stream(name: str, split: int = 1, part: str = "test", skill: float = 1.2) -> ScoreTable:
    generator = np.random.default_rng(split)
    table = made_up(name, classes=6, videos=72, groups=24, skill=skill, split=split, part=part)
    videos = (f"{HOSTILE}/{part}", *(f"Archery/v_{part}_{i:02d}" for i in range(1, 72)))
    return replace(
        table,
        videos=videos,
        classes=CLASSES,
        features=np.eye(6, 16)[table.labels] * 4 + generator.normal(size=(72, 16)),
        provenance={
            "run": f"runs/{name}",
            "note": HOSTILE,
            "parameters": 23_500_000,
            "flops": 4.1e9,
        },
    )


def streams(split: int = 1, part: str = "test") -> list[ScoreTable]:
    return [stream("spatial", split, part), stream("temporal", split, part, 1.6)]


def with_fusions(split: int = 1) -> list[ScoreTable]:
    tables = streams(split)
    leak = fusion.weighted(tables, fit_on_test=True)
    return [*tables, fusion.average(tables), replace(leak, stream="weighted")]


def store(path: Path, videos: list[str]) -> Path:
    """Each video: 5 frames of one colour, moving right by 2 pixels a step."""
    with open_store(path, "w", StoreConfig(codec="raw", frame_codec="jpeg:90")) as opened:
        for i, video in enumerate(videos):
            with opened.write(video) as writer:
                for _ in range(5):
                    writer.frame(np.full((24, 32, 3), (200, i * 3, 10), np.uint8))
                flow = np.zeros((4, 2, 24, 32))
                flow[:, 0] = 2
                writer.flow(opened.meta.quantizer.quantize(flow))
                writer.finish(fps=25.0)
    return path


def run(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text(
        json.dumps({"format": 1, "settings": {"lr": 0.01, "note": HOSTILE}})
    )
    rows = [{"step": i, "part": "train", "loss": 2 / (i + 1), "top1": i / 9} for i in range(8)]
    (path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return path


def everything(folder: Path) -> ReportInputs:
    """Two splits, validation scores, a store with the first ten videos, and a run."""
    tables = [t for split in (1, 2) for t in with_fusions(split)]
    safe = [video for video in tables[0].videos if HOSTILE not in video]
    return ReportInputs(
        tables=tables,
        fit=streams(part="validation"),
        store=open_store(store(folder / "store", safe)),
        runs=[run(folder / "runs" / "spatial")],
        title=f"Report {HOSTILE}",
        ceilings={"spatial": 0.9, "fused": 1.0},
        draws=200,
    )


def two_classes() -> ReportInputs:
    """Two classes, 40 videos of one and 20 of the other: a stream that learned something, one that
    is not better than chance, and one that always gives the same answer."""
    labels = np.arange(60) % 3 // 2
    given = {"videos": 60, "classes": 2, "groups": 15}
    tables = []
    for name, skill in (("good", 3.0), ("weak", 0.2), ("constant", 0.0)):
        table = made_up(name, **given)  # type: ignore[arg-type]
        scores = np.random.default_rng(len(name)).normal(size=(60, 2)) * (skill > 0)
        scores[np.arange(60), labels] += skill
        scores[:, 0] += 0.7 * (skill == 0)
        tables.append(
            replace(
                table,
                labels=labels,
                classes=("walk", "fall"),
                scores=scores.astype(np.float32),
                provenance={"unfinished": True} if name == "weak" else {},
            )
        )
    return ReportInputs(tables, draws=200, map_method="none")


def first_split(written: Written) -> dict[str, Any]:
    """Its numbers."""
    split: dict[str, Any] = written.data["splits"][0]
    return split


def shown_number(text: str) -> float:
    """The number that a text on the page begins with; its minus is a true one."""
    return float(text.split("\n")[0].split(" ")[0].replace("−", "-").replace("±", ""))
