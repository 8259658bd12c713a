"""What `verify` reads in a store: videos that are whole, and what is damaged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Damage:
    """One video that cannot be read as a whole."""

    shard: str
    key: bytes
    """Of the index entry."""
    video: str
    number: int | None
    """None where the entry itself is damaged."""
    reason: str


@dataclass
class ShardReport:
    """What one shard holds."""

    name: str
    whole: list[str] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Frames and pairs, or steps."""
    records: int = 0
    bytes: int = 0
    orphans: list[int] = field(default_factory=list)
    """Numbers with records that nothing names."""
    hidden: list[int] = field(default_factory=list)
    """Numbers of videos that `index.log` does not show: taken away, or not shown yet."""
    missing: list[int] = field(default_factory=list)
    """Numbers of videos that `index.log` shows and the shard's own index has not."""
    unfinished: list[int] = field(default_factory=list)
    """Numbers of videos that were begun: being written now, or left by a process that died."""
    broken: str = ""
    """Why the shard cannot be read at all."""

    @property
    def faulty(self) -> bool:
        return bool(self.damaged or self.orphans or self.broken or self.missing)


@dataclass
class Report:
    """What a store holds, and what `repair` did about it."""

    store: str
    shards: list[ShardReport]
    counted: tuple[str, ...]
    """What is counted beside videos."""
    damaged_lines: int = 0
    """Of `index.log`."""
    dropped: list[str] = field(default_factory=list)
    salvaged: list[str] = field(default_factory=list)
    """Videos that were copied out of broken shards."""

    @property
    def damaged(self) -> bool:
        return bool(self.damaged_lines) or any(part.faulty for part in self.shards)

    @property
    def videos(self) -> int:
        return len({video for part in self.shards for video in part.whole})

    def counts(self) -> dict[str, int]:
        """Frames and pairs, or steps, of all whole videos."""
        return {name: sum(part.counts[name] for part in self.shards) for name in self.counted}

    def to_json(self) -> dict[str, Any]:
        return {
            "store": self.store,
            "videos": self.videos,
            "stored_twice": sum(len(part.whole) for part in self.shards) - self.videos,
            **self.counts(),
            **{
                name: sum(getattr(part, name) for part in self.shards)
                for name in ("records", "bytes")
            },
            "shards": len(self.shards),
            "unfinished": sum(len(part.unfinished) for part in self.shards),
            "stray_records_of": sum(len(part.orphans) for part in self.shards),
            "hidden": sum(len(part.hidden) for part in self.shards),
            "damaged_lines": self.damaged_lines,
            "damaged": [
                {"video": d.video, "shard": d.shard, "reason": d.reason}
                for part in self.shards
                for d in part.damaged
            ],
            "broken_shards": {part.name: part.broken for part in self.shards if part.broken},
            "dropped": self.dropped,
            "salvaged": self.salvaged,
        }
