"""Judging streams and fusions side by side: figures, intervals, tests and headroom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.judge.bootstrap import (
    DRAWS,
    Measure,
    Paired,
    holm,
    interval,
    paired,
    resample,
    resampled_mean_recall,
    resampled_shares,
    share_of,
)
from fusion.judge.calibration import Calibration, calibration
from fusion.judge.groups import group_names, indices
from fusion.judge.metrics import TOP, Judged, PerClass, judge, log_loss, per_class
from fusion.judge.provenance import ceilings_of, costs_of, fusion_of, learned_lists, unfinished
from storage.errors import UserError
from storage.scores import ScoreTable, join, unique_names
from storage.videos import PARTS


@dataclass(frozen=True)
class Figures:
    """Everything that is said of one table on one split."""

    name: str
    fusion: dict[str, Any] | None
    """How it was fused; None for a single stream."""
    kind: str
    top: dict[int, Measure]
    """k -> share of videos with the true class among the k highest; k smaller than the classes."""
    mean_class: Measure
    log_loss: float | None
    calibration: Calibration | None
    """Both None where the scores are no probabilities and cannot be turned into any."""
    per_class: PerClass
    judged: Judged
    costs: dict[str, float]
    """What is known of `parameters`, `flops` and `seconds_per_video`."""
    provenance: dict[str, Any]
    learned_lists: bool
    """Whether a network may have learned from the videos that it is judged on."""
    unfinished: bool = False
    """Whether a network was not trained to its end."""

    @property
    def only_class(self) -> int | None:
        """The class that is predicted for every video; None where there are several."""
        predicted = np.flatnonzero(self.per_class.predicted)
        return int(predicted[0]) if len(predicted) == 1 and len(self.judged.rank) > 1 else None

    @property
    def fitted_on_test(self) -> bool:
        return bool(self.fusion and self.fusion.get("fit", {}).get("leak"))

    @property
    def doubtful(self) -> bool:
        return self.fitted_on_test or self.learned_lists

    @property
    def accuracy(self) -> float:
        return self.top[1].value


@dataclass(frozen=True)
class SplitEvaluation:
    """The tables of one split, on the same videos in the same order."""

    split: int
    part: str
    classes: tuple[str, ...]
    videos: tuple[str, ...]
    labels: NDArray[np.int64]
    group: NDArray[np.int64]
    """(N,): which group a video belongs to."""
    group_names: tuple[str, ...]
    """(G,): their names, which are those in every other split."""
    grouping: str
    """Where the groups come from, in words."""
    figures: tuple[Figures, ...]
    tests: tuple[Paired, ...]
    oracle: Measure | None
    """Share of videos that at least one single stream has right; None with fewer than two."""
    ceilings: dict[str, float]
    """Best accuracy that a table can have on these videos, where their maker knows it."""
    tables: tuple[ScoreTable, ...] = field(repr=False)

    @property
    def groups(self) -> int:
        return int(self.group.max()) + 1

    def __getitem__(self, name: str) -> Figures:
        return next(f for f in self.figures if f.name == name)

    @property
    def singles(self) -> tuple[Figures, ...]:
        return tuple(f for f in self.figures if f.fusion is None)

    @property
    def single_tables(self) -> list[ScoreTable]:
        return [t for t, f in zip(self.tables, self.figures, strict=True) if f.fusion is None]

    def rights(self, names: Sequence[str]) -> NDArray[np.float64]:
        """(N, K): 1 where one of these K tables is right, else 0."""
        return np.stack([self[name].judged.right for name in names], axis=1).astype(np.float64)

    @property
    def best(self) -> Figures:
        """The table with the highest top-1; one that may know the test part only if all do."""
        honest = [f for f in self.figures if not f.doubtful] or list(self.figures)
        return max(honest, key=lambda f: f.accuracy)

    @property
    def best_is_clear(self) -> bool:
        """Whether the best table's interval lies above that of every other one."""
        low, best = self.best.top[1].low, self.best
        highs = [f.top[1].high for f in self.figures if f is not best]
        return low is not None and all(high is not None and high < low for high in highs)

    @property
    def most_frequent(self) -> tuple[int, float]:
        """The class with most videos, and the accuracy of always answering it."""
        videos = np.bincount(self.labels, minlength=len(self.classes))
        return int(videos.argmax()), float(videos.max() / len(self.labels))

    def best_single(self, figures: Figures) -> Figures | None:
        """The best of a fusion's own streams, or of all single streams where those are unknown."""
        own = [f for f in self.singles if f.name in (figures.fusion or {}).get("streams", ())]
        return max(own or self.singles, key=lambda f: f.accuracy, default=None)


@dataclass(frozen=True)
class Evaluation:
    """One or more splits."""

    splits: tuple[SplitEvaluation, ...]
    mean: dict[str, Measure]
    """Top-1, mean over the splits of one part, of the tables that every such split has."""
    averaged: tuple[int, ...]
    """Those splits; empty where no part has two."""
    draws: int
    seed: int


def evaluate(
    tables: Sequence[ScoreTable],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    common_only: bool = False,
) -> Evaluation:
    """Judge tables of one or more splits; those of a split are joined by video id.

    `common_only` judges the videos that all tables of a split have, instead of refusing.
    """
    by_split: dict[tuple[int, str], list[ScoreTable]] = {}
    for table in tables:
        by_split.setdefault((table.split, table.part), []).append(table)
    if not by_split:
        raise UserError("no score table was given; give at least one")
    splits = tuple(
        evaluate_split(join(unique_names(group), common_only=common_only), draws, seed)
        for _, group in sorted(by_split.items())
    )
    parts = [[s for s in splits if s.part == part] for part in PARTS]
    several = max(parts, key=len)
    mean = mean_over_splits(several, draws, seed) if len(several) > 1 else {}
    averaged = tuple(s.split for s in several) if mean else ()
    return Evaluation(splits, mean, averaged, draws, seed)


def evaluate_split(joined: Sequence[ScoreTable], draws: int, seed: int) -> SplitEvaluation:
    """Judge tables that are joined already."""
    first = joined[0]
    names, grouping = group_names(joined)
    group = indices(names)
    groups = int(group.max()) + 1
    counts = resample(groups, draws, seed)
    figures = tuple(_figures(table, group, counts) for table in joined)
    singles = [f.judged.right for f in figures if f.fusion is None]
    either = np.any(singles, axis=0) if singles else None
    result = SplitEvaluation(
        split=first.split,
        part=first.part,
        classes=first.classes,
        videos=first.videos,
        labels=first.labels,
        group=group,
        group_names=tuple(dict.fromkeys(names)),
        grouping=grouping,
        figures=figures,
        tests=(),
        oracle=share_of(either, group, counts) if either is not None and len(singles) > 1 else None,
        ceilings=ceilings_of(joined),
        tables=tuple(joined),
    )
    return replace(result, tests=_tests(result, counts, seed))


def _figures(table: ScoreTable, group: NDArray[np.int64], counts: NDArray[np.uint8]) -> Figures:
    judged = judge(table)
    classes = len(table.classes)
    by_class = per_class(judged, table.labels, classes)
    recall = resampled_mean_recall(counts, group, table.labels, judged.right, classes)
    return Figures(
        name=table.stream,
        fusion=fusion_of(table),
        kind=table.kind,
        top={k: share_of(judged.rank < k, group, counts) for k in TOP if k < max(classes, 2)},
        mean_class=interval(by_class.mean_accuracy, recall, counts.shape[1]),
        log_loss=log_loss(judged) if judged.probable else None,
        calibration=calibration(judged.confidence, judged.right) if judged.probable else None,
        per_class=by_class,
        judged=judged,
        costs=costs_of(table.provenance),
        provenance=table.provenance,
        learned_lists=learned_lists(table.provenance, table.split),
        unfinished=unfinished(table.provenance),
    )


def _tests(split: SplitEvaluation, counts: NDArray[np.uint8], seed: int) -> tuple[Paired, ...]:
    tests = []
    for figures in split.figures:
        single = split.best_single(figures) if figures.fusion is not None else None
        if single is not None:
            right, other = figures.judged.right, single.judged.right
            tests.append(paired(figures.name, single.name, right, other, split.group, counts, seed))
    corrected = holm([test.p for test in tests])
    return tuple(replace(test, p_holm=p) for test, p in zip(tests, corrected, strict=True))


def mean_over_splits(
    splits: Sequence[SplitEvaluation], draws: int, seed: int
) -> dict[str, Measure]:
    """Top-1, mean over the splits; a group that several splits test is drawn once for all."""
    names = [f.name for f in splits[0].figures]
    names = [n for n in names if all(n in [f.name for f in s.figures] for s in splits)]
    groups, each = shared_groups(splits)
    counts = resample(groups, draws, seed)
    values, drawn = np.zeros(len(names)), np.zeros((draws, len(names)))
    for split, group in zip(splits, each, strict=True):
        right = split.rights(names)
        values += right.mean(axis=0) / len(splits)
        drawn += resampled_shares(counts, group, right) / len(splits)
    return {
        name: interval(float(value), column, groups)
        for name, value, column in zip(names, values, drawn.T, strict=True)
    }


def shared_groups(splits: Sequence[SplitEvaluation]) -> tuple[int, list[NDArray[np.int64]]]:
    """How many groups several splits have, and (N,) of each split: which of them its videos are
    of. A group is known by its name."""
    number = indices([name for split in splits for name in split.group_names])
    ends = np.cumsum([split.groups for split in splits])
    own = np.split(number, ends[:-1])
    each = [of_split[split.group] for of_split, split in zip(own, splits, strict=True)]
    return int(number.max()) + 1, each
