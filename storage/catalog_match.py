"""Which of a list's videos a store holds: by id, else by the name's end, never by guessing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from storage.catalog import Clip
from storage.errors import UserError


@dataclass(frozen=True)
class Matched:
    """Clips whose `video` is the store's own id, and the listed videos that it does not hold."""

    clips: list[Clip]
    missing: list[str]


def match_clips(clips: Sequence[Clip], stored: Iterable[str]) -> Matched:
    """Find each clip in the store.

    A listed `HandstandPushups/v_HandStandPushups_g01_c01` is the stored video of the same path;
    else, case aside, the only one whose path ends so or that has the same last part (stores of
    flat folders, and lists with a machine's absolute paths).
    """
    names = list(stored)
    exact = set(names)
    by_stem: dict[str, list[str]] = defaultdict(list)
    for stored_name in names:
        by_stem[stored_name.rpartition("/")[2].casefold()].append(stored_name)
    found: list[Clip] = []
    missing: list[str] = []
    for clip in clips:
        name: str | None = clip.video
        if clip.video not in exact:
            name = nearest(clip.video, by_stem)
        if name is None:
            missing.append(clip.video)
        else:
            found.append(replace(clip, video=name))
    return Matched(found, missing)


def nearest(video: str, by_stem: dict[str, list[str]]) -> str | None:
    """The one stored video that a listed path can mean; None when there is none."""
    wanted = video.casefold()
    candidates = by_stem.get(wanted.rpartition("/")[2], [])
    if len(candidates) > 1:
        ends = [c for c in candidates if same_end(c.casefold(), wanted)]
        if len(ends) != 1:
            raise UserError(
                f"{video!r} of the list could be any of {', '.join(sorted(candidates)[:3])} in the "
                "store; give the list the store's paths"
            )
        candidates = ends
    return candidates[0] if candidates else None


def same_end(stored: str, wanted: str) -> bool:
    """Whether one path is the other's end, on whole parts."""
    return ("/" + wanted).endswith("/" + stored) or ("/" + stored).endswith("/" + wanted)
