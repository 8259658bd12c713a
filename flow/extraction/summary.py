"""The result of a run of `extract`: counts that add up, rates, quality, failures."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from flow.extraction.failures import Failure
from flow.extraction.quality import Quality
from flow.extraction.worker import Outcome

DRY_RUN = "it was a dry run"
"""Why a run ended that was to say only what it would do."""
SHOWN = 10
"""Failures that are printed one by one; all are in failures.json."""


@dataclass
class Summary:
    """found = stored + skipped + failed + remaining."""

    store: str
    found: int = 0
    stored: int = 0
    skipped: int = 0
    """In the store already, from the same sources."""
    partial: int = 0
    """Of the stored ones: only what could be decoded."""
    frames: int = 0
    pairs: int = 0
    size: int = 0
    """Bytes that were added to the store."""
    seconds: float = 0.0
    quality: Quality = field(default_factory=Quality)
    failures: list[Failure] = field(default_factory=list)
    stopped: str = ""
    """Why not everything was tried, if so."""

    @property
    def failed(self) -> int:
        return sum(not failure.partial for failure in self.failures)

    @property
    def remaining(self) -> int:
        """Videos that were not tried."""
        return self.found - self.stored - self.skipped - self.failed

    def take(self, outcome: Outcome, source: str) -> None:
        """Count one outcome."""
        if outcome.status == "stored":
            self.stored += 1
            self.frames += outcome.frames
            self.pairs += outcome.pairs
            self.size += outcome.size
            self.quality.add(outcome.quality)
            if outcome.kind:
                self.partial += 1
                self.failures.append(
                    Failure(outcome.video, source, outcome.kind, outcome.reason, partial=True)
                )
        elif outcome.status == "already":
            self.skipped += 1
        else:
            self.failures.append(Failure(outcome.video, source, outcome.kind, outcome.reason))

    def to_json(self) -> dict[str, Any]:
        return {
            "store": self.store,
            "found": self.found,
            "stored": self.stored,
            "skipped": self.skipped,
            "failed": self.failed,
            "left": self.remaining,
            "partial": self.partial,
            "frames": self.frames,
            "pairs": self.pairs,
            "bytes": self.size,
            "seconds": round(self.seconds, 3),
            "pairs_per_second": self.pairs / self.seconds if self.seconds else 0.0,
            **self.quality.shares(),
            "failures": [asdict(failure) for failure in self.failures],
            "stopped": self.stopped,
        }

    def text(self) -> str:
        """A few lines for people."""
        remaining = f" + {self.remaining} left" if self.remaining else ""
        lines = [
            f"{self.found} videos found = {self.stored} stored + {self.skipped} skipped "
            f"+ {self.failed} failed{remaining}"
        ]
        if self.stored:
            rate = self.pairs / max(self.seconds, 1e-9)
            lines.append(
                f"{self.pairs:,} pairs and {self.frames:,} frames in {clock(self.seconds)} "
                f"({rate:,.1f} pairs/s), {in_bytes(self.size)}"
                + (f", {in_bytes(self.size / self.pairs)} a pair" if self.pairs else "")
            )
            shares = self.quality.shares()
            lines.append(
                f"{shares['clipped_share']:.3%} of the flow clipped, {shares['zero_share']:.1%} "
                f"coded as rest"
            )
            if self.quality.decoded:
                lines.append(lost(self.quality))
        if self.partial:
            lines.append(f"{self.partial} stored in part: what could be decoded")
        if self.failures:
            kinds = Counter(failure.kind for failure in self.failures)
            lines.append(
                "failures: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            )
            for failure in self.failures[:SHOWN]:
                mark = " (stored in part)" if failure.partial else ""
                lines.append(f"  {failure.video}: {failure.reason}{mark}")
            if len(self.failures) > SHOWN:
                lines.append(f"  ... and {len(self.failures) - SHOWN} more")
            lines.append(f"all of them, with their reasons: {self.store}/failures.json")
        if self.stopped == DRY_RUN:
            lines.append("a dry run: nothing was stored")
        elif self.stopped:
            lines.append(f"stopped: {self.stopped}; the same command goes on from here")
        return "\n".join(lines)


def lost(quality: Quality) -> str:
    """What quantiser and codec take together, in words."""
    shares = quality.shares()
    where = f", {shares['moving_loss_px']:.3f} px where it moves" if quality.moving else ""
    return f"quantiser and codec together move a vector by {shares['loss_px']:.3f} px{where} (mean)"


def clock(seconds: float) -> str:
    """95 -> "1 min 35 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def in_bytes(size: float) -> str:
    """12345678 -> "12.3 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
