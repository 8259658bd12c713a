"""Which clips a store falls into, and which shard each of them goes to. Nothing is read for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from storage.store import VideoMeta

LEAST_PAIR = 256
"""Bytes that a pair is taken to need at least: some stores do not know a video's size."""


class ClipSpan(NamedTuple):
    """Pairs first .. stop-1 of a video: one sample."""

    video: str
    first: int
    stop: int

    @property
    def key(self) -> str:
        """The name of its files in a tar. ASCII without dots, since readers cut names at a dot,
        and without a first `_`, since they pass over names like `__this__`."""
        name = quote(self.video, safe="/", errors="surrogatepass").replace(".", "%2E")
        if name.startswith("_"):
            name = "%5F" + name[1:]
        return f"{name}/{self.first:06d}"

    def frames(self, about: VideoMeta) -> range:
        """Its frames: those that its pairs start in, and at the video's end all that are left.
        So every frame of a video is in one clip, once."""
        return range(self.first, about.frames if self.stop == about.pairs else self.stop)


def clip_spans(about: VideoMeta, pairs_each: int) -> list[ClipSpan]:
    """A video in equal parts of `pairs_each` to under twice as many pairs; a shorter one is one
    part. No rest is left that is too short for a stack of `pairs_each` pairs."""
    parts = max(1, about.pairs // pairs_each)
    edges = [part * about.pairs // parts for part in range(parts + 1)]
    return [ClipSpan(about.video, *edges[part : part + 2]) for part in range(parts)]


def mixed(videos: Iterable[VideoMeta], pairs_each: int) -> list[tuple[ClipSpan, int]]:
    """All clips with the bytes that each takes in the store, in an order as good as random.

    Neighbours come from different videos, so a reader's small buffer is enough to mix them. The
    order is that of a hash: the same on every machine.
    """
    sized = []
    for about in videos:
        for span in clip_spans(about, pairs_each):
            pairs = span.stop - span.first
            size = max(about.size * pairs // about.pairs, LEAST_PAIR * pairs)
            name = f"{about.video}\0{span.first}".encode("utf-8", "surrogatepass")
            sized.append((hashlib.sha256(name).digest(), span, size))
    return [(span, size) for _, span, size in sorted(sized)]


def deal_out(clips: Iterable[tuple[ClipSpan, int]], shard_bytes: float) -> list[list[ClipSpan]]:
    """Clips and their bytes, in their order, cut into shards of about `shard_bytes`."""
    shards: list[list[ClipSpan]] = []
    room = 0.0
    for span, size in clips:
        if room < size:
            shards.append([])
            room = max(shard_bytes, size)
        shards[-1].append(span)
        room -= size
    return shards
