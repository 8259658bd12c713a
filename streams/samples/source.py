"""A store and a list brought together, and everything about them that can be checked before work
starts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from storage.catalog import Catalog, Clip, load_catalog, match_clips
from storage.errors import UserError
from storage.store import Store, StoreConfig, open_store
from streams.inputs import Input
from streams.samples.options import DataOptions, ShortPolicy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """The clips of each part, as the store has them."""

    store: Path
    config: StoreConfig
    catalog: Catalog
    split: int
    parts: dict[str, list[Clip]]
    missing: dict[str, list[str]]
    """Part -> listed videos that the store does not hold."""
    short: dict[str, list[str]]
    """Part -> videos that are too short for the input."""

    @property
    def classes(self) -> tuple[str, ...]:
        return self.catalog.classes

    def settings(self) -> dict[str, Any]:
        """What decides the result, as JSON: paths are not in it, content is."""
        rows = [(part, c.video, c.label) for part in self.parts for c in self.parts[part]]
        return {
            "store": store_settings(self.config),
            "classes": list(self.classes),
            "split": self.split,
            "validation": self.catalog.validation,
            "lists": self.catalog.fingerprint,
            "clips": hashlib.sha256(repr(rows).encode()).hexdigest()[:16],
            "count": {part: len(clips) for part, clips in self.parts.items()},
        }

    def left_out(self) -> dict[str, Any]:
        """Named and counted, for the run folder."""
        return {
            "missing": {part: names for part, names in self.missing.items() if names},
            "short": {part: names for part, names in self.short.items() if names},
        }


def store_settings(config: StoreConfig) -> dict[str, Any]:
    """How the store was input_, as JSON."""
    return config.to_json()


def open_source(
    options: DataOptions,
    inputs: Mapping[str, Input],
    parts: Sequence[str] = ("train", "validation"),
) -> Source:
    """Open store and lists and check that they can serve `inputs`; each fault is a UserError."""
    store = open_store(options.store)
    for input_ in inputs.values():
        input_.check(store.meta)
    catalog = load_catalog(
        options.labels, validation=options.validation, official_counts=not options.any_counts
    )
    stored = store.videos()
    clips: dict[str, list[Clip]] = {}
    missing: dict[str, list[str]] = {}
    short: dict[str, list[str]] = {}
    for part in parts:
        listed = catalog.part(options.split, part)
        matched = match_clips(listed, stored, catalog.videos(options.split))
        if listed and not matched.clips:
            raise UserError(
                f"none of the {len(listed)} videos in the {part} list of {options.labels} (first: "
                f"{listed[0].video}) is among the {len(stored)} in {options.store} (first: "
                f"{stored[0] if stored else 'none'}); are --labels and --store of one data set?"
            )
        missing[part] = matched.missing
        clips[part], short[part] = long_enough(store, matched.clips, inputs, options.short)
        report_left_out(
            part, missing[part], "not in the store", options.missing == "stop", "left out"
        )
        done = "left out" if options.short == "skip" else "their last pair repeats"
        log.info("%s: %d videos", part, len(clips[part]))
        report_left_out(part, short[part], "too short for the input", options.short == "stop", done)
    if "train" in clips:
        check_classes(catalog, clips["train"], options, options.store)
    return Source(options.store, store.meta, catalog, options.split, clips, missing, short)


def long_enough(
    store: Store, clips: Sequence[Clip], inputs: Mapping[str, Input], policy: ShortPolicy
) -> tuple[list[Clip], list[str]]:
    """Clips to use, and the names of those that are too short.

    A video with nothing to repeat (no pair at all, where pairs are needed) is never used.
    """
    used, short = [], []
    for clip in clips:
        video = store.video(clip.video)
        spans = [input_.moments(video, store.meta) for input_ in inputs.values()]
        if max(s.start for s in spans) < min(s.stop for s in spans):
            used.append(clip)
            continue
        short.append(clip.video)
        if policy == "pad" and all(input_.repeatable(video) for input_ in inputs.values()):
            used.append(clip)
    return used, short


def report_left_out(part: str, videos: list[str], what: str, stop: bool, done: str) -> None:
    """Say what does not fit, or stop at it."""
    if not videos:
        return
    few = ", ".join(videos[:3]) + (", ..." if len(videos) > 3 else "")
    text = f"{len(videos)} videos of the {part} list are {what} ({few})"
    if stop:
        raise UserError(f"{text}; --missing skip or --short pad goes on without stopping")
    log.warning("%s: %s", text, done)


class Listed(Protocol):
    """What is asked of the training part of some lists."""

    @property
    def labels(self) -> Path: ...

    @property
    def split(self) -> int: ...

    @property
    def empty_classes(self) -> bool: ...


def check_classes(catalog: Catalog, clips: Sequence[Clip], options: Listed, store: Path) -> None:
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
            f"training video in {store} ({', '.join(absent[:3])}"
            f"{', ...' if len(absent) > 3 else ''}): extract them, or pass --empty-classes"
        )
    if len(catalog.classes) < 2:
        raise UserError(
            f"{options.labels} has one class, {catalog.classes[0]!r}; at least two are needed"
        )
