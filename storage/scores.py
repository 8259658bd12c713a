"""Class scores of many videos: what a stream writes and what fusion reads."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError

KINDS = ("logits", "probabilities")
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class ScoreTable:
    """N videos x C classes. Tables are joined by video id, never by row number."""

    videos: tuple[str, ...]
    labels: NDArray[np.int64]
    """(N,): index into `classes`."""
    classes: tuple[str, ...]
    scores: NDArray[np.float32]
    """(N, C)."""
    kind: str = "logits"
    """What the scores are: logits or probabilities."""
    stream: str = ""
    """spatial, temporal, fused, or whatever its maker calls it."""
    split: int = 1
    part: str = "test"
    groups: tuple[str, ...] = ()
    """(N,) or empty: videos of one source share a group and are not independent."""
    features: NDArray[np.float32] | None = None
    """(N, D) pooled features, where they were kept."""
    made: dict[str, Any] = field(default_factory=dict)
    """How it was made (run folder, views, weights, ...): JSON values, shown in the report."""

    def __post_init__(self) -> None:
        n, c = len(self.videos), len(self.classes)
        if self.scores.shape != (n, c):
            raise UserError(
                f"scores of shape {self.scores.shape} do not fit {n} videos x {c} classes"
            )
        if self.kind not in KINDS:
            raise UserError(f"scores are {self.kind!r}; they must be one of {', '.join(KINDS)}")
        if self.part not in PARTS:
            raise UserError(f"part {self.part!r} is not one of {', '.join(PARTS)}")

    def __repr__(self) -> str:
        return (
            f"ScoreTable({self.stream or 'unnamed'}, split {self.split} {self.part}: "
            f"{len(self.videos)} videos x {len(self.classes)} classes of {self.kind})"
        )

    def save(self, path: str | Path) -> None:
        """Write an npz that holds no pickle."""
        header = {
            "kind": self.kind,
            "stream": self.stream,
            "split": self.split,
            "part": self.part,
            "made": self.made,
        }
        arrays: dict[str, Any] = {
            "videos": np.array(self.videos),
            "labels": self.labels,
            "classes": np.array(self.classes),
            "scores": self.scores,
            "header": np.array(json.dumps(header)),
        }
        if self.groups:
            arrays["groups"] = np.array(self.groups)
        if self.features is not None:
            arrays["features"] = self.features
        with open(path, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> ScoreTable:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            header = json.loads(str(data["header"]))
            return cls(
                videos=tuple(map(str, data["videos"])),
                labels=data["labels"].astype(np.int64),
                classes=tuple(map(str, data["classes"])),
                scores=data["scores"],
                groups=tuple(map(str, data["groups"])) if "groups" in data else (),
                features=data.get("features"),
                **header,
            )
