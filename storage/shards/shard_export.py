"""A store written as shards of clips, by several processes, gone on with after a stop.

What each shard holds is decided before the first one is written, from the store's index alone. A
shard appears whole or not at all, and its row is on the disk before it. So whoever finds a shard
knows what is in it, and a run that was killed leaves only shards undone, never half done. The index
`shards.json` is written when all shards are there; until then rows and plan lie in `.export/`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from storage import atomic
from storage.errors import StoreError, UserError, WorkFailed
from storage.shards.coded_clip import clip_members
from storage.shards.deal import ClipSpan, clip_spans, deal_out, mixed
from storage.shards.litdata_layout import LITDATA_INDEX, chunk_name, litdata_index, write_chunk
from storage.shards.shard_index import (
    FORMAT,
    SHARDS_INDEX,
    ListedShard,
    ShardIndex,
)
from storage.shards.tar_layout import Sample, shard_name, write_tar
from storage.store import Store

UNFINISHED = ".export"
"""The folder of an export that goes on: `plan`, and a row of every shard that is done."""
PROBED = 32
"""Clips that are read to learn how much of a video's bytes is flow."""
Writer = Callable[[Path, Iterator[Sample]], None]
LAYOUTS: dict[str, tuple[Callable[[int], str], Writer]] = {
    "webdataset": (shard_name, write_tar),
    "litdata": (chunk_name, write_chunk),
}
"""Layout -> how its files are named and written."""


@dataclass
class ShardsWritten:
    """What came of an export."""

    done: int = 0
    """Clips in shards that this run wrote."""
    there: int = 0
    """Clips in shards of an earlier run."""
    failed: dict[str, str] = field(default_factory=dict)
    """Video or clip -> why it is in no shard."""
    shards: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class ShardJob:
    """One shard to be written; what a process is given."""

    store: Store
    out: Path
    name: str
    layout: str
    frames: bool
    spans: tuple[tuple[int, ClipSpan, int | None], ...]
    """Number in the export, clip, label."""

    def __call__(self) -> ListedShard:
        failed: dict[str, str] = {}

        def samples() -> Iterator[Sample]:
            for number, span, label in self.spans:
                try:
                    members = clip_members(
                        self.store, span, number=number, label=label, frames=self.frames
                    )
                except StoreError as error:
                    failed[span.key] = " ".join(str(error).split())
                    continue
                yield span, label, members

        path = self.out / self.name
        path.unlink(missing_ok=True)  # one that lacks clips: its row is about to be another
        # A draft of its own: a process whose parent was killed may still be writing the same shard.
        with atomic.draft(path) as fresh:
            LAYOUTS[self.layout][1](fresh, samples())
            with open(fresh, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
            row = ListedShard(self.name, len(self.spans) - len(failed), size, digest, failed)
            atomic.write_text(row_path(self.out, self.name), json.dumps(asdict(row)))
            atomic.move(fresh, path)
        return row


@dataclass(frozen=True)
class ClipShards:
    """How a store is cut into clips and clips are dealt out to shards."""

    layout: Literal["webdataset", "litdata"] = "webdataset"
    pairs_each: int = 16
    shard_bytes: int = 256 << 20
    frames: bool = True

    def __post_init__(self) -> None:
        if self.pairs_each < 1:
            raise UserError(f"--clip-pairs {self.pairs_each} must be 1 or more")
        if self.shard_bytes < 1:
            raise UserError("--shard-mb must be above 0")

    def count(self, store: Store, videos: Sequence[str]) -> int:
        """How many clips there are to write."""
        abouts = (store.video(video) for video in set(videos))
        return sum(len(clip_spans(about, self.pairs_each)) for about in abouts if about.pairs)

    def export(
        self,
        store: Store,
        videos: Sequence[str],
        out: Path,
        labels: Mapping[str, int] | None = None,
        classes: Sequence[str] = (),
        jobs: int = 1,
        advance: Callable[[int], object] = lambda clips: None,
    ) -> ShardsWritten:
        """Write the shards that are not there yet, and the index. `advance`: clips dealt with."""
        if jobs < 1:
            raise UserError(f"--jobs {jobs} must be 1 or more")
        labels = labels or {}
        result = ShardsWritten()
        abouts = [store.video(video) for video in sorted(set(videos))]
        for about in abouts:
            if not about.pairs:
                result.failed[about.video] = "has no flow"
        abouts = [about for about in abouts if about.pairs]
        clips = mixed(abouts, self.pairs_each)
        dealt = deal_out(clips, self.shard_bytes / self._share(store, clips))
        known = [[about.to_json(), labels.get(about.video)] for about in abouts]
        lengths = [len(spans) for spans in dealt]
        options = [FORMAT, asdict(self), store.meta.to_json(), list(classes), known, lengths]
        plan = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()
        out.mkdir(parents=True, exist_ok=True)
        with alone_in(out):
            for left in [*out.glob(".part-*"), *(out / UNFINISHED).glob(".part-*")]:
                left.unlink(missing_ok=True)  # of a run that was killed
            rows = self._rows_there(out, plan)
            waiting, number = [], 0
            for place, spans in enumerate(dealt):
                name = LAYOUTS[self.layout][0](place)
                numbered = [(number + i, s, labels.get(s.video)) for i, s in enumerate(spans)]
                number += len(spans)
                row = rows.get(name)
                if row is not None and not row.failed and (out / name).exists():
                    result.there += row.samples
                    advance(len(spans))
                else:
                    waiting.append(
                        ShardJob(store, out, name, self.layout, self.frames, tuple(numbered))
                    )
            if waiting:
                begin(out, plan, rows.values())
            for row in each_shard(waiting, jobs):
                rows[row.name] = row
                result.done += row.samples
                result.failed |= row.failed
                advance(row.samples + len(row.failed))
            index = ShardIndex(
                plan=plan,
                layout=self.layout,
                store=store.meta,
                clip_pairs=self.pairs_each,
                frames=self.frames and store.meta.frame_codec != "none",
                classes=tuple(classes),
                videos=len(abouts),
                clips=number,
                shards=tuple(rows[LAYOUTS[self.layout][0](i)] for i in range(len(dealt))),
            )
            if self.layout == "litdata":
                atomic.write_text(out / LITDATA_INDEX, litdata_index(index))
            atomic.write_text(out / SHARDS_INDEX, index.to_text())
            shutil.rmtree(out / UNFINISHED, ignore_errors=True)
        result.shards = len(index.shards)
        result.bytes = sum(row.bytes for row in index.shards)
        return result

    def _share(self, store: Store, clips: Sequence[tuple[ClipSpan, int]]) -> float:
        """What part of the clips' bytes in the store goes out: less than all without frames.

        The store knows a video's bytes, not those of its flow; some clips tell them.
        """
        if self.frames or store.meta.frame_codec == "none":
            return 1.0
        some = clips[:PROBED]
        with suppress(StoreError):  # damage, which is reported where the clip is written
            parts = (
                clip_members(store, span, number=0, label=None, frames=False) for span, _ in some
            )
            return sum(len(m) for part in parts for m in part.values()) / sum(n for _, n in some)
        return 1.0

    def _rows_there(self, out: Path, plan: str) -> dict[str, ListedShard]:
        """Name -> row of the shards that are done; an error where they are of something else."""
        rows: dict[str, ListedShard] = {}
        plans = set()
        path = out / SHARDS_INDEX
        if path.exists():
            index = ShardIndex.from_text(path.read_text(encoding="utf-8"), path)
            plans.add(index.plan)
            rows = {row.name: row for row in index.shards}
        if (out / UNFINISHED / "plan").exists():
            plans.add((out / UNFINISHED / "plan").read_text(encoding="utf-8"))
            for file in (out / UNFINISHED).glob("*.json"):
                row = ListedShard(**json.loads(file.read_text(encoding="utf-8")))
                rows[row.name] = row
        if plans - {plan}:
            raise UserError(
                f"{out} holds shards of other videos, labels or options; give another folder, or "
                "the options of that export"
            )
        return rows


def row_path(out: Path, name: str) -> Path:
    return out / UNFINISHED / f"{name}.json"


def begin(out: Path, plan: str, rows: Iterable[ListedShard]) -> None:
    """Say what is being written before any of it is.

    `rows`, of shards that are there, are put where they outlive an index of which some shards are
    written anew.
    """
    (out / UNFINISHED).mkdir(exist_ok=True)
    atomic.write_text(out / UNFINISHED / "plan", plan)
    for row in rows:
        atomic.write_text(row_path(out, row.name), json.dumps(asdict(row)))
    (out / SHARDS_INDEX).unlink(missing_ok=True)


def each_shard(waiting: Sequence[ShardJob], jobs: int) -> Iterator[ListedShard]:
    """Write shards, `jobs` at a time. Nothing is lost with a killed process but its shard."""
    if jobs == 1 or len(waiting) < 2:
        yield from (job() for job in waiting)
        return
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
    try:
        yield from parallel(delayed(job)() for job in waiting)
    except BrokenProcessPool:
        raise WorkFailed(
            "a process that wrote a shard was killed (by the system, for want of memory?); the "
            "same command goes on, and fewer --jobs need less"
        ) from None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Nobody else exports into `folder` meanwhile, where its file system has locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another export is writing to {folder}; wait for it") from None
        except OSError:
            pass  # a network file system that locks no folders
        yield
    finally:
        os.close(descriptor)
