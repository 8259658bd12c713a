"""Which of a list's videos a store holds: by id, else by the name's end, never by guessing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from storage.catalog.catalog import Clip
from storage.errors import UserError


@dataclass(frozen=True)
class Match:
    """Clips whose `video` is the store's own id, and the listed videos that it does not hold."""

    clips: list[Clip]
    missing: list[str]


def match_clips(
    clips: Sequence[Clip], stored: Iterable[str], listed: Iterable[str] | None = None
) -> Match:
    """Find each clip in the store. `listed` are all videos of the split, of its other parts too.

    A listed `HandstandPushups/v_HandStandPushups_g01_c01` is the stored video of the same path.
    Without one it is, case aside, the only stored video whose path ends so, or that has the same
    last part: a store may hold flat folders, a list a machine's absolute paths. The list may have
    a last part several times (`a/001`, `b/001`). Then only the folders count, and a video that the
    store lacks is missing: it is never taken for its namesake.
    """
    names = names_in_store([c.video for c in clips] if listed is None else list(listed), stored)
    known = [replace(clip, video=names[clip.video]) for clip in clips if clip.video in names]
    return Match(known, [clip.video for clip in clips if clip.video not in names])


def names_in_store(listed: Sequence[str], stored: Iterable[str]) -> dict[str, str]:
    """Listed video -> the store's name of it. The store does not hold the others."""
    exact = set(stored)
    by_stem: dict[str, list[str]] = defaultdict(list)
    for stored_name in exact:
        by_stem[stem_of(stored_name)].append(stored_name)
    times = Counter(map(stem_of, listed))
    names: dict[str, str] = {}
    listed_as: dict[str, str] = {}
    for video in listed:
        alone = times[stem_of(video)] == 1
        name = video if video in exact else nearest(video, by_stem[stem_of(video)], alone)
        if name is None:
            continue
        if listed_as.setdefault(name, video) != video:
            raise UserError(
                f"{listed_as[name]!r} and {video!r} of the list would both be {name!r} in the "
                "store; give the list the store's paths"
            )
        names[video] = name
    return names


def stem_of(video: str) -> str:
    return video.rpartition("/")[2].casefold()


def nearest(video: str, candidates: Sequence[str], alone: bool) -> str | None:
    """The one stored video of the same last part that a listed path can mean. None when there is
    none. `alone`: no other listed video has that last part."""
    ends = [c for c in candidates if same_end(c.casefold(), video.casefold())]
    if len(ends) == 1:
        return ends[0]
    if not candidates or (not ends and not alone):
        return None
    if len(candidates) > 1:
        raise UserError(
            f"{video!r} of the list could be any of {', '.join(sorted(candidates)[:3])} in the "
            "store; give the list the store's paths"
        )
    return candidates[0]


def same_end(stored: str, wanted: str) -> bool:
    """Whether one path is the other's end, on whole parts."""
    return ("/" + wanted).endswith("/" + stored) or ("/" + stored).endswith("/" + wanted)
