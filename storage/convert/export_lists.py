"""Annotation lists beside exported frames, as TSN and mmaction2 read them: `path frames label`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from storage import atomic
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
    written = {out / "classInd.txt": rows}
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
                written[out / f"{word}_split_{split}_{kind}.txt"] = rows
    for path, rows in written.items():
        atomic.write_text(path, "\n".join(rows) + "\n")
    return list(written)
