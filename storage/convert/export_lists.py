"""Annotation lists beside exported frames, as TSN and mmaction2 read them: `path frames label`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from storage.catalog import Catalog, match_clips
from storage.store import Store

NAMES = {"train": "train", "validation": "val", "test": "test"}


def labels_of(catalog: Catalog, stored: Iterable[str]) -> dict[str, int]:
    """The label of every stored video that any part of any split lists."""
    names = list(stored)
    labels: dict[str, int] = {}
    for split in catalog.splits:
        listed = catalog.videos(split)
        for part in NAMES:
            for clip in match_clips(catalog.part(split, part), names, listed).clips:
                labels[clip.video] = clip.label
    return labels


def write_lists(catalog: Catalog, store: Store, exported: Iterable[str], out: Path) -> list[Path]:
    """One list of frames and one of flow a part and split, and classInd.txt.

    A flow list counts pairs: with the number of frames, the last sample of a video would ask for
    a picture that is not there.
    """
    names = list(exported)
    rows = [f"{number} {name}" for number, name in enumerate(catalog.classes, 1)]
    written = [_write(out / "classInd.txt", rows)]
    for split in catalog.splits:
        listed = catalog.videos(split)
        for part, word in NAMES.items():
            clips = match_clips(catalog.part(split, part), names, listed).clips
            if not clips:
                continue
            for kind in ("rgb", "flow"):
                rows = []
                for clip in clips:
                    meta = store.video(clip.video)
                    count = meta.frames if kind == "rgb" else meta.pairs
                    rows.append(f"{clip.video} {count} {clip.label}")
                if kind == "rgb" and store.meta.frame_codec == "none":
                    continue
                written.append(_write(out / f"{word}_split_{split}_{kind}.txt", rows))
    return written


def _write(path: Path, rows: list[str]) -> Path:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text("\n".join(rows) + "\n", encoding="utf-8")
    os.replace(fresh, path)
    return path
