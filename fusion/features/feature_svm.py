"""Linear SVM on the mean features of videos, several networks side by side, as C3D's table has it.

Tran et al. (ICCV 2015): the features of a video's clips are averaged and brought to length 1;
those of several networks, and improved trajectories, stand side by side; a linear SVM decides.
C is chosen on the training part alone, by folds that never cut a group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.scores import GroupedSVM
from storage.catalog import Clip
from storage.errors import UserError
from storage.features import open_features
from storage.scores import ScoreTable, some

Rows = NDArray[np.float64]
MOST_KEPT = 4096
"""Numbers a video up to which the features go into the table, for the report's map."""


def feature_rows(path: Path, videos: Sequence[str]) -> Rows:
    """(N, D): each video's mean over its steps (and places), at length 1; zeros stay zeros."""
    with open_features(path) as store:
        rows = np.empty((len(videos), store.meta.width))
        for row, video in zip(rows, videos, strict=True):
            found = store.read(video).astype(np.float64)
            row[:] = found.mean(axis=(0, *range(2, found.ndim)))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


@dataclass
class FeatureSVM:
    """One linear machine on feature stores side by side."""

    stores: Sequence[Path]
    classes: tuple[str, ...]
    split: int
    machine: GroupedSVM = field(default_factory=GroupedSVM)
    about: dict[str, Any] = field(default_factory=dict)
    _fitted: tuple[str, ...] = ()

    def rows(self, clips: Sequence[Clip]) -> Rows:
        """(N, sum of D)."""
        videos = [clip.video for clip in clips]
        return np.concatenate([feature_rows(path, videos) for path in self.stores], 1)

    def fit(
        self, clips: Sequence[Clip], on_machine: Callable[[int], object] = lambda total: None
    ) -> FeatureSVM:
        """Choose C and learn; on clips of the training part, and no others."""
        labels = labels_of(clips)
        _, groups = np.unique([clip.group for clip in clips], return_inverse=True)
        self.machine.fit(self.rows(clips), labels, groups.astype(np.int64), on_machine)
        self._fitted = tuple(clip.video for clip in clips)
        return self

    def table(self, clips: Sequence[Clip], part: str, name: str) -> ScoreTable:
        """Scores of clips that the machine has not learned from."""
        known = set(self._fitted)
        shared = [clip.video for clip in clips if clip.video in known]
        if shared:
            raise UserError(
                f"{len(shared)} videos of the {part} part were learned from ({some(shared)}): "
                "their scores would say nothing; is a video listed in two parts?"
            )
        rows = self.rows(clips)
        margins = self.machine.margins(rows, len(self.classes))
        table = self._made(clips, margins, part, name, {})
        if rows.shape[1] > MOST_KEPT:
            return table
        return replace(table, features=rows.astype(np.float32))

    def out_of_fold(self, clips: Sequence[Clip], name: str) -> ScoreTable:
        """Scores of the training clips, each by a machine that did not see its fold."""
        held = self.machine.held_out
        if held is None or tuple(clip.video for clip in clips) != self._fitted:
            raise UserError(
                "there are no out-of-fold scores: every class has a single group, so no fold can "
                "be held out"
            )
        margins = np.full((len(clips), len(self.classes)), held.min() - 1)
        margins[:, : held.shape[1]] = held
        return self._made(clips, margins, "train", name, {"out_of_fold": True})

    def _made(
        self,
        clips: Sequence[Clip],
        margins: NDArray[np.float64],
        part: str,
        name: str,
        more: dict[str, Any],
    ) -> ScoreTable:
        machine = self.machine
        svm = {
            "C": machine.c,
            "temperature": machine.temperature,
            "cross_validated": machine.cross_validated,
            "fitted_to": len(self._fitted),
        }
        return ScoreTable(
            videos=tuple(clip.video for clip in clips),
            labels=labels_of(clips),
            classes=self.classes,
            scores=(margins / machine.temperature).astype(np.float32),
            kind="logits",
            stream=name,
            split=self.split,
            part=part,
            groups=tuple(clip.group for clip in clips),
            provenance={"svm": svm, "stores": [str(path) for path in self.stores]}
            | self.about
            | more,
        )


def labels_of(clips: Sequence[Clip]) -> NDArray[np.int64]:
    return np.array([clip.label for clip in clips], np.int64)
