"""What the tests of the exam's questions share: clips, their flow, and a strong classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from flow.tvl1.compute import compute_flow
from flow.video.resize import to_grey
from scripts.samples.judging import Figure, figure, forced_choice, right_answers
from scripts.samples.question import Clip, Listed, Question

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]


def listed(question: Question, train: int, test: int, **changes: Any) -> list[Listed]:
    return list(replace(question, train=train, test=test, **changes).clips())


def greys(frames: Bytes) -> Bytes:
    """(T, H, W) as the flow engines get it."""
    return np.stack([to_grey(np.ascontiguousarray(frame)) for frame in frames])


_flow: dict[bytes, Floats] = {}


def flow_at(clip: Clip, moment: int, length: int = 1) -> Floats:
    """TV-L1 of `length` pairs from a frame on, (length, 2, H, W). Equal pairs are computed once."""
    grey = greys(clip.frames[moment : moment + length + 1])
    keys = [grey[i : i + 2].tobytes() for i in range(length)]
    for i, key in enumerate(keys):
        if key not in _flow:
            _flow[key] = compute_flow(grey[i : i + 2])[0]
    return np.stack([_flow[key] for key in keys])


def picture_view(frame: Bytes) -> Floats:
    """What can be seen in a picture: small pixels, colours, contrast by direction and size."""
    small = cv2.resize(frame, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float64)
    tones = [np.histogram(frame[..., i], 12, (20, 235))[0] for i in range(3)]
    tones.append(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2YCrCb).mean((0, 1)))
    grey = to_grey(np.ascontiguousarray(frame)).astype(np.float64)
    contrast: list[float] = []
    for size in (1, 2, 4, 8):
        for gap in (grey[:, size:] - grey[:, :-size], grey[size:] - grey[:-size]):
            contrast += [
                np.abs(gap).mean(),
                gap.mean(),
                *(g.mean() for g in np.array_split(gap, 4)),
            ]
    return np.concatenate([small.ravel(), *tones, contrast])


def flow_view(flow: Floats) -> Floats:
    """What can be seen in flow (n, 2, H, W): means by place, moment and size."""
    places = flow.mean(0).reshape(2, 8, flow.shape[2] // 8, 8, -1).mean((2, 4))
    spread = [np.histogram(flow[:, i], 24, (-3, 3))[0] / flow[:, i].size for i in (0, 1)]
    return np.concatenate([places.ravel(), *spread, flow.mean((2, 3)).ravel()])


def watermarked(clips: Iterable[Listed]) -> list[Listed]:
    """The leak that every picture shows: each class has a mark in a corner of its own."""
    marked = []
    for one in clips:
        frames = one.clip.frames.copy()
        low, right = divmod(one.clip.label, 2)
        frames[:, slice(-8, None) if low else slice(8), slice(-8, None) if right else slice(8)] = (
            230
        )
        marked.append(replace(one, clip=replace(one.clip, frames=frames)))
    return marked


def snapshots(clip: Clip, length: int, moments: Iterable[int]) -> Floats:
    """What stacks of flow show, (n, features): means by place, moment by moment."""
    pairs = [flow_at(clip, t)[0] for t in range(len(clip.frames) - 1)]
    places = np.stack([pair.reshape(2, 4, 16, 4, 16).mean((2, 4)).ravel() for pair in pairs])
    return np.stack([places[t : t + length].ravel() for t in moments])


def snapshot_forest(clips: list[Listed], stacks: list[Floats]) -> tuple[Floats, NDArray[np.int64]]:
    """Log probabilities of every snapshot of the test part, (videos, n, C), by a forest that was
    fitted on the snapshots of the training part; and the test part's labels."""
    labels = np.array([one.clip.label for one in clips])
    train = np.array([one.part == "train" for one in clips])
    seen = np.stack(stacks)
    forest = RandomForestClassifier(80, random_state=0, min_samples_leaf=2)
    forest.fit(seen[train].reshape(-1, seen.shape[-1]), labels[train].repeat(seen.shape[1]))
    shares = forest.predict_proba(seen[~train].reshape(-1, seen.shape[-1]))
    return np.log(shares + 1e-3).reshape((~train).sum(), seen.shape[1], -1), labels[~train]


@dataclass
class Exam:
    """The test part as a classifier answered it."""

    scores: Floats
    labels: NDArray[np.int64]
    pairs: list[tuple[int, int]]

    @property
    def accuracy(self) -> Figure:
        return figure(right_answers(self.scores, self.labels), 0.9998)

    @property
    def choice(self) -> Figure:
        return figure(forced_choice(self.scores, self.labels, self.pairs), 0.9998)


def examine(
    clips: Iterable[Listed],
    view: Callable[[Clip], Floats],
    models: tuple[str, ...] = ("linear", "forest"),
) -> dict[str, Exam]:
    """Each classifier, fitted on the training part of what `view` shows."""
    clips = list(clips)
    features = np.stack([view(one.clip) for one in clips])
    labels = np.array([one.clip.label for one in clips])
    train = np.array([one.part == "train" for one in clips])
    return {
        name: answers(name, features, labels, train, pairs_of(clips, ~train)) for name in models
    }


def pairs_of(clips: list[Listed], test: NDArray[np.bool_]) -> list[tuple[int, int]]:
    rows: dict[tuple[int, int], list[int]] = {}
    for row, one in enumerate(one for one, tested in zip(clips, test, strict=True) if tested):
        if one.clip.twin is not None:
            rows.setdefault((one.group, one.clip.twin), []).append(row)
    return [(pair[0], pair[1]) for pair in rows.values()]


def answers(
    name: str,
    features: Floats,
    labels: NDArray[np.int64],
    train: NDArray[np.bool_],
    pairs: list[tuple[int, int]],
) -> Exam:
    model = {
        "linear": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)),
        "forest": make_pipeline(
            PCA(min(24, train.sum() - 1, features.shape[1]), random_state=0),
            RandomForestClassifier(150, random_state=0, min_samples_leaf=2),
        ),
    }[name]
    model.fit(features[train], labels[train])
    return Exam(np.log(model.predict_proba(features[~train]) + 1e-9), labels[~train], pairs)


def best(exams: dict[str, Exam], what: str = "accuracy") -> Figure:
    return max((getattr(exam, what) for exam in exams.values()), key=lambda one: one.value)
