"""The clips of each part of some lists, as far as what is stored has them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from storage.catalog import Catalog, Clip, load_catalog, match_clips
from storage.errors import UserError

log = logging.getLogger(__name__)


class ListOptions(Protocol):
    """Which lists, and what to do about what is not stored."""

    @property
    def labels(self) -> Path: ...

    @property
    def split(self) -> int: ...

    @property
    def validation(self) -> float: ...

    @property
    def missing(self) -> str: ...

    @property
    def any_counts(self) -> bool: ...

    @property
    def empty_classes(self) -> bool: ...


@dataclass(frozen=True)
class Listed:
    """The clips of each part."""

    catalog: Catalog
    split: int
    parts: dict[str, list[Clip]]
    missing: dict[str, list[str]]
    """Part -> listed videos that are not stored."""

    @property
    def classes(self) -> tuple[str, ...]:
        return self.catalog.classes

    def list_settings(self) -> dict[str, Any]:
        """What of the lists decides a result, as JSON: paths are not in it, content is."""
        rows = [(part, c.video, c.label) for part in self.parts for c in self.parts[part]]
        return {
            "classes": list(self.classes),
            "split": self.split,
            "validation": self.catalog.validation,
            "lists": self.catalog.fingerprint,
            "clips": hashlib.sha256(repr(rows).encode()).hexdigest()[:16],
            "count": {part: len(clips) for part, clips in self.parts.items()},
        }

    def left_out(self) -> dict[str, Any]:
        """Named and counted, for the run folder."""
        return {"missing": {part: names for part, names in self.missing.items() if names}}


def read_lists(
    options: ListOptions,
    parts: Sequence[str],
    stored: Collection[str],
    *,
    holder: str,
    absent: str = "not in the store",
) -> Listed:
    """Find the listed videos among the stored ones; each fault is a UserError.

    `holder` names what holds them, and `absent` is what the others are, in messages.
    """
    catalog = load_catalog(
        options.labels, validation=options.validation, official_counts=not options.any_counts
    )
    clips: dict[str, list[Clip]] = {}
    missing: dict[str, list[str]] = {}
    for part in parts:
        listed = catalog.part(options.split, part)
        matched = match_clips(listed, stored, catalog.videos(options.split))
        if listed and not matched.clips:
            raise UserError(
                f"none of the {len(listed)} videos in the {part} list of {options.labels} (first: "
                f"{listed[0].video}) is among the {len(stored)} in {holder} (first: "
                f"{min(stored, default='none')}); are they of one data set?"
            )
        clips[part], missing[part] = matched.clips, matched.missing
        stop = "--missing skip" if options.missing == "stop" else ""
        report_left_out(part, matched.missing, absent, unless=stop, done="left out")
    return Listed(catalog, options.split, clips, missing)


def report_left_out(part: str, videos: list[str], what: str, *, unless: str, done: str) -> None:
    """Say what does not fit, or stop at it: `unless` is the option that would go on, if any."""
    if not videos:
        return
    few = ", ".join(videos[:3]) + (", ..." if len(videos) > 3 else "")
    text = f"{len(videos)} videos of the {part} list are {what} ({few})"
    if unless:
        raise UserError(f"{text}; {unless} goes on without them")
    log.warning("%s: %s", text, done)


def check_classes(
    catalog: Catalog, clips: Sequence[Clip], options: ListOptions, holder: str
) -> None:
    """A network for classes that it never sees is most often a mistake."""
    if not clips:
        raise UserError(
            f"split {options.split} of {options.labels} leaves no training video; lower "
            "--validation, or look at the lists"
        )
    seen = {clip.label for clip in clips}
    absent = [name for label, name in enumerate(catalog.classes) if label not in seen]
    if absent and not options.empty_classes:
        raise UserError(
            f"{len(absent)} of the {len(catalog.classes)} classes of {options.labels} have no "
            f"training video in {holder} ({', '.join(absent[:3])}"
            f"{', ...' if len(absent) > 3 else ''}): extract them, or pass --empty-classes"
        )
    if len(catalog.classes) < 2:
        raise UserError(
            f"{options.labels} has one class, {catalog.classes[0]!r}; at least two are needed"
        )
