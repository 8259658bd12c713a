"""A store and a list brought together, and everything about them that can be checked before work
starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.catalog import Clip
from storage.store import Store, StoreConfig, open_store
from streams.inputs import Input
from streams.samples.listed import Listed, check_classes, read_lists, report_left_out
from streams.samples.options import DataOptions, ShortPolicy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source(Listed):
    """The clips of each part, as the store has them."""

    store: Path
    config: StoreConfig
    short: dict[str, list[str]]
    """Part -> videos that are too short for the input."""

    def settings(self) -> dict[str, Any]:
        """What decides the result, as JSON: paths are not in it, content is."""
        return {"store": self.config.to_json(), **self.list_settings()}

    def left_out(self) -> dict[str, Any]:
        short = {part: names for part, names in self.short.items() if names}
        return {**super().left_out(), "short": short}


def open_source(
    options: DataOptions,
    inputs: Mapping[str, Input],
    parts: Sequence[str] = ("train", "validation"),
) -> Source:
    """Open store and lists and check that they can serve `inputs`; each fault is a UserError."""
    store = open_store(options.store)
    for input_ in inputs.values():
        input_.check(store.meta)
    lists = read_lists(options, parts, store.videos(), holder=str(options.store))
    clips: dict[str, list[Clip]] = {}
    short: dict[str, list[str]] = {}
    for part, listed in lists.parts.items():
        clips[part], short[part] = long_enough(store, listed, inputs, options.short)
        log.info("%s: %d videos", part, len(clips[part]))
        report_left_out(
            part,
            short[part],
            "too short for the input",
            unless="--short skip" if options.short == "stop" else "",
            done="left out" if options.short == "skip" else "their last pair repeats",
        )
    if "train" in clips:
        check_classes(lists.catalog, clips["train"], options, str(options.store))
    return Source(
        catalog=lists.catalog,
        split=lists.split,
        parts=clips,
        missing=lists.missing,
        store=options.store,
        config=store.meta,
        short=short,
    )


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
