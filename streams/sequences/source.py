"""Feature stores and lists brought together, and everything that can be checked before work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.catalog import part_name
from storage.errors import UserError
from storage.features import FeatureConfig, Statistics, open_features, statistics_of
from streams.samples import Listed, check_classes, read_lists
from streams.sequences.data_options import FeatureData

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureSource(Listed):
    """The clips of each part, as all feature stores have them."""

    stores: tuple[Path, ...]
    configs: tuple[FeatureConfig, ...]

    @property
    def widths(self) -> list[int]:
        """D of each store."""
        return [config.width for config in self.configs]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a step with all stores side by side."""
        return (sum(self.widths), *self.configs[0].shape[1:])

    def settings(self) -> dict[str, Any]:
        """What decides the result, as JSON: paths are not in it, content is."""
        return {"features": [config.to_json() for config in self.configs], **self.list_settings()}

    def statistics(self) -> list[Statistics]:
        """Of each store over the training part: as kept beside it, or computed now."""
        videos = [clip.video for clip in self.parts["train"]]
        part = part_name(self.catalog, self.split)
        found = []
        for path in self.stores:
            with open_features(path) as store:
                kept = Statistics.load(store.statistics) if store.statistics.exists() else None
                if kept is None or (kept.part, kept.videos) != (part, len(videos)):
                    log.info("%s: mean and deviation of %d training videos", path, len(videos))
                    kept = statistics_of(store, videos, part)
                found.append(kept)
        return found


def open_feature_source(
    options: FeatureData, parts: Sequence[str] = ("train", "validation"), *, beside: bool = True
) -> FeatureSource:
    """Open stores and lists and check that they fit each other; each fault is a UserError.

    `beside`: the stores are to stand side by side at each step."""
    if not options.features:
        raise UserError("--features names one feature store or more")
    configs, stored = [], None
    for path in options.features:
        with open_features(path) as store:
            configs.append(store.meta)
            videos = set(store.videos())
            stored = videos if stored is None else stored & videos
    assert stored is not None
    check_beside(options.features, configs, beside)
    lists = read_lists(
        options,
        parts,
        sorted(stored),
        holder=" and ".join(map(str, options.features)),
        absent="not in the feature store" if len(configs) == 1 else "not in all feature stores",
    )
    for part, clips in lists.parts.items():
        log.info("%s: %d videos", part, len(clips))
    if "train" in lists.parts:
        check_classes(lists.catalog, lists.parts["train"], options, str(options.features[0]))
    return FeatureSource(**vars(lists), stores=options.features, configs=tuple(configs))


def check_beside(paths: Sequence[Path], configs: Sequence[FeatureConfig], beside: bool) -> None:
    """Features stand side by side only if each step is a vector, or a map of one size."""
    for path, config in zip(paths[1:], configs[1:], strict=True):
        if beside and config.shape[1:] != configs[0].shape[1:]:
            raise UserError(
                f"a step of {path} is {config.shape}, one of {paths[0]} is {configs[0].shape}: "
                "they do not fit side by side; write both --at parts with maps of one size"
            )
        if config == configs[0]:
            raise UserError(f"{path} and {paths[0]} hold the same features; give one of them")


def stores_of(trained: Sequence[dict[str, Any]], paths: Sequence[Path]) -> tuple[Path, ...]:
    """Of some feature stores those that a run was trained on, in the order of its training."""
    made = {path: open_features(path).meta for path in paths}
    found = []
    for number, then in enumerate(trained, 1):
        wanted = FeatureConfig.from_json(then)
        alike = [path for path, now in made.items() if not wanted.differences(now)]
        if not alike:
            known = ", ".join(map(str, paths)) or "none is given"
            raise UserError(
                f"--features names no store that holds the {number}. features the run was trained "
                f"on ({known})"
            )
        found.append(alike[0])
    return tuple(found)


def check_features(
    trained: Sequence[dict[str, Any]], source: FeatureSource, *, other_store: bool
) -> None:
    """The features must be made as those that a run was trained on."""
    if len(trained) != len(source.configs):
        raise UserError(
            f"the run was trained on {len(trained)} feature stores side by side, "
            f"{len(source.configs)} are given; give --features as in training, in that order"
        )
    for path, then, now in zip(source.stores, trained, source.configs, strict=True):
        different = FeatureConfig.from_json(then).differences(now)
        if other_store:
            different = [text for text in different if not text.startswith("source.")]
        if different:
            said = "; ".join(different[:3]).replace("the store has", "the run learned on")
            raise UserError(
                f"{path} holds other features than the run was trained on: "
                f"{said.replace('asked for', 'here it is')}"
            )
