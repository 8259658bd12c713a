"""What is inside a store and how it was made, added up over its videos."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from storage.store.config import VideoMeta
from storage.store.faults import DATA
from storage.store.shard import on_disk
from storage.store.store import Store

SHARES = ("clipped_share", "zero_share", "mean_abs_error_px", "loss_px", "moving_loss_px")
"""Figures of `VideoMeta.quality` that are averaged over pairs."""


@dataclass
class Summary:
    """Sums over all videos."""

    videos: int = 0
    frames: int = 0
    pairs: int = 0
    seconds: float = 0.0
    record_bytes: int = 0
    disk_bytes: int = 0
    shards: int = 0
    sizes: Counter[str] = field(default_factory=Counter)
    """Videos by width x height."""
    rates: Counter[str] = field(default_factory=Counter)
    """Videos by frames a second."""
    engines: Counter[str] = field(default_factory=Counter)
    partial: int = 0
    """Videos whose source had faults that were passed over."""
    quality: dict[str, float] = field(default_factory=dict)
    _weights: Counter[str] = field(default_factory=Counter)

    def add(self, meta: VideoMeta) -> None:
        self.videos += 1
        self.frames += meta.frames
        self.pairs += meta.pairs
        self.seconds += max(meta.frames, meta.pairs) / meta.fps if meta.fps else 0.0
        self.record_bytes += meta.size
        self.sizes[f"{meta.width}x{meta.height}"] += 1
        self.rates[f"{meta.fps:.4g}"] += 1
        self.engines[meta.engine or "not said"] += 1
        self.partial += bool(meta.source.get("faults"))
        for name in SHARES:
            value = meta.quality.get(name)
            if value is not None and meta.pairs:
                weight = self._weights[name]
                total = self.quality.get(name, 0.0) * weight + value * meta.pairs
                self._weights[name] += meta.pairs
                self.quality[name] = total / self._weights[name]

    def to_json(self) -> dict[str, Any]:
        sums = ("videos", "frames", "pairs", "seconds", "shards", "record_bytes", "disk_bytes")
        return {
            **{name: getattr(self, name) for name in sums},
            "seconds": round(self.seconds, 3),
            **{n: dict(getattr(self, n).most_common()) for n in ("sizes", "rates", "engines")},
            "partial_videos": self.partial,
            "quality": self.quality,
        }


def summarise(store: Store) -> Summary:
    """Read the index of a store. A video that is stored twice counts once."""
    summary = Summary()
    for meta in store.metas():
        summary.add(meta)
    names = store.shards()
    summary.shards = len(names)
    summary.disk_bytes = sum(on_disk(store.folder / "shards" / name / DATA) for name in names)
    return summary
