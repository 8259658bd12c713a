"""What the networks of a report's runs look at: which videos are shown, and how many pictures."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.judge import SplitEvaluation
from fusion.report.data import shown_first
from fusion.report.examples import choose_examples
from storage.catalog import Clip
from storage.errors import UserError

if TYPE_CHECKING:
    from fusion.explanation import RunLooks
    from streams.scoring import Run

log = logging.getLogger(__name__)

VIDEOS = 4
"""Videos of a split that are shown."""
BYTES = 4_500_000
"""Of all pictures: with those of 20 systems the page stays under 15 MB."""
ORDER = ("rescued", "wrong", "right", "lost")
"""Kinds of examples of which a video each is shown, the most telling first."""


@dataclass(frozen=True)
class SeenVideo:
    """A video, and what each run looked at in it."""

    video: str
    true: str
    why: str
    """The kind of example that it is."""


@dataclass(frozen=True)
class Seen:
    """All that is shown of the runs of one split."""

    videos: tuple[SeenVideo, ...]
    looks: tuple[RunLooks, ...]
    left_out: int = 0
    """Pictures of so many runs and videos were left out to keep the page light."""


def look_at_runs(
    folders: Sequence[str | Path],
    splits: Sequence[SplitEvaluation],
    store: Path | None,
    features: Sequence[Path],
) -> list[Seen | None]:
    """One a split: the runs that learned from it. What cannot be shown is named in the first."""
    if not folders:
        return [None for _ in splits]
    from streams.scoring import Run

    runs: list[Run] = []
    unread: list[RunLooks] = []
    for folder in folders:
        try:
            runs.append(Run.open(Path(folder)))
        except UserError as error:
            unread.append(without(Path(folder), error))
    found: list[Seen | None] = []
    for split in splits:
        own = [run for run in runs if run.split == split.split]
        runs = [run for run in runs if run.split != split.split]
        found.append(look_at_split(own, split, store, features) if own else None)
    for run in runs:
        said = f"it learned from split {run.split}, which is not judged here"
        unread.append(without(run.path, UserError(said)))
    if unread:
        seen = found[0] or Seen((), ())
        found[0] = replace(seen, looks=(*seen.looks, *unread))
    return found


def without(folder: Path, error: UserError) -> RunLooks:
    from fusion.explanation import RunLooks

    return RunLooks(folder.resolve().name, "", note=str(error))


def look_at_split(
    runs: Sequence[Run], split: SplitEvaluation, store: Path | None, features: Sequence[Path]
) -> Seen:
    from fusion.explanation import look_at_run

    videos = chosen_videos(split, VIDEOS)
    rows = {video: row for row, video in enumerate(split.videos)}
    clips = [Clip(v.video, int(split.labels[rows[v.video]]), v.video) for v in videos]
    looks: list[RunLooks] = []
    left, out = BYTES, 0
    for run in runs:
        try:
            if tuple(run.classes) != tuple(split.classes):
                raise UserError("it was trained for other classes than those judged here")
            look = look_at_run(run, clips, store, features)
        except UserError as error:
            log.warning("%s: what it looks at is not shown: %s", run.path, error)
            look = without(run.path, error)
        # Every run gets its share of what is left, the first videos before the others.
        share = left // (len(runs) - len(looks))
        while look.size > share and look.videos:
            look = replace(look, videos=dict(list(look.videos.items())[:-1]))
            out += 1
        left -= look.size
        looks.append(look)
    return Seen(videos, tuple(looks), out)


def chosen_videos(split: SplitEvaluation, most: int) -> tuple[SeenVideo, ...]:
    """Of each kind of example the first, then the second, ..., as long as there are some."""
    kinds = choose_examples(split, shown_first(split))
    chosen: dict[int, str] = {}
    for place in range(most):
        for kind in ORDER:
            examples = kinds.get(kind, [])
            if place < len(examples) and len(chosen) < most:
                chosen.setdefault(examples[place].row, kind)
    return tuple(
        SeenVideo(split.videos[row], split.classes[split.labels[row]], kind)
        for row, kind in chosen.items()
    )


def picture_uri(picture: bytes) -> str:
    """A PNG or JPEG as a link that holds it."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def picture_height(picture: bytes) -> int:
    """Pixels, so that a page keeps room for what is decoded later."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        return opened.height
