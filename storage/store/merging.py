"""Stores of several machines become one: their sealed shards are linked into it, and checked.

No video is written again. The sources stay what they are, with the shards that were open sealed;
or their shards move.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from storage import atomic
from storage.errors import StoreError, UserError
from storage.store import chunk, faults, shard
from storage.store.claim import FRESH, publishing
from storage.store.keys import (
    content_of,
    entry_content,
    expected_records,
    json_value,
    parse_entry,
)
from storage.store.lines import dropping_line, gone_line, listing_line, shard_line
from storage.store.salvage import rename_new
from storage.store.sealing import check_seal, is_sealed, quiet_shard, seal
from storage.store.settling import adopt, settle, stored_entries, upgrade
from storage.store.shard import DATA, SEALED
from storage.store.store import Store

NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
ABOUT = ("frames", "pairs", "height", "width", "fps")
"""What two videos of the same content share, beside their records."""
NAMED = 5
"""Videos that an error names."""


@dataclass
class Merged:
    """What came of it."""

    out: str
    videos: int = 0
    """Added to the store."""
    same: int = 0
    """Copies of videos that were there, of the same content."""
    left_out: list[str] = field(default_factory=list)
    """Videos of another content than the one of that name that was there."""
    shards: int = 0
    linked: int = 0
    """Bytes that are shared with the sources, or moved."""
    copied: int = 0
    """Bytes that were copied, to another file system."""


class Part(NamedTuple):
    """A sealed shard of a source, and what of it comes into the store."""

    store: Store
    folder: Path
    added: dict[str, dict[str, Any]]
    hidden: dict[str, int]
    """What else is in the shard: id -> number."""


def merge(
    sources: Sequence[Path],
    out: Path,
    new: bool,
    move: bool = False,
    refuse: bool = True,
    progress: Callable[[str], None] = lambda text: None,
) -> Merged:
    """Bring the videos of `sources` into the store `out`, which is made if `new`.

    Where two have different videos of one name, that is an error that names them, and no video is
    brought; or the first of them counts, unless `refuse`. What was open in the sources is sealed
    in any case. With `move` the sources give away the shards that have something new.
    """
    with ExitStack() as stack:
        stores = [stack.enter_context(Store.open(path, "a")) for path in sources]
        check_sources(stores, out, new)
        target = stack.enter_context(Store.open(out, "w" if new else "a", stores[0].meta))
        try:
            upgrade(out, target.form, target.index())
            result = Merged(str(out))
            parts = chosen(stores, target, result, refuse, progress)
            for part in parts:
                progress(f"{part.folder}: {len(part.added):,} videos")
                bring(part, target, result, move)
        except BaseException:
            if new and not len(target):
                target.close()
                shutil.rmtree(out, ignore_errors=True)
            raise
        return result


def check_sources(stores: Sequence[Store], out: Path, new: bool) -> None:
    """All are made in one way, and none of them is given twice."""
    for store in stores[1:]:
        different = stores[0].meta.differences(store.meta)
        if different:
            raise StoreError(
                f"{stores[0].folder} and {store.folder} were made in different ways "
                f"({'; '.join(different)}); they cannot be one store"
            )
    real = [os.path.realpath(store.folder) for store in stores]
    real += [] if new else [os.path.realpath(out)]
    twice = [path for path in real if real.count(path) > 1]
    if twice:
        raise UserError(f"{twice[0]} is named twice; name each store once")


def chosen(
    stores: Sequence[Store],
    target: Store,
    result: Merged,
    refuse: bool,
    progress: Callable[[str], None],
) -> list[Part]:
    """Every shard of the sources, sealed, and which of its videos are wanted."""
    taken: dict[str, tuple[Store, str]] = {}
    index = target.index()
    different: list[str] = []
    parts: list[Part] = []
    for store in stores:
        for name in sealed_shards(store, progress):
            shown = {entry.number: entry for entry in store.index().entries(name)}
            added: dict[str, dict[str, Any]] = {}
            hidden = {
                v: number for v, number in numbers(store, name).items() if number not in shown
            }
            for number, listed in shown.items():
                content = entry_content(listed.value)
                video = content["video"]
                if video in taken or index.place(video) is not None:
                    first, where = taken.get(video, (target, str(target.folder)))
                    if alike(first, store, video):
                        result.same += 1
                    else:
                        different.append(f"{video!r} in {where} and {store.folder}")
                        result.left_out.append(video)
                    hidden[video] = number
                else:
                    taken[video] = (store, str(store.folder))
                    added[video] = content
            if added:
                parts.append(Part(store, store.folder / "shards" / name, added, hidden))
    if different and refuse:
        more = f" and {len(different) - NAMED} more" if len(different) > NAMED else ""
        raise StoreError(
            f"different videos have one name: {', '.join(different[:NAMED])}{more}; delete one of "
            "each, or take the first with --on-conflict first"
        )
    return parts


def sealed_shards(store: Store, progress: Callable[[str], None]) -> list[str]:
    """The shards of a store, after those that are not sealed yet were. Nobody may write them."""
    shards = store.folder / "shards"
    upgrade(store.folder, store.form, store.index())
    names = store.shards()
    for name in names:
        if not is_sealed(shards / name):
            progress(f"{shards / name}: sealing")
            with quiet_shard(shards / name) as free:
                if not free:
                    raise StoreError(
                        f"{shards / name} is being written; merge {store.folder} when that has "
                        "ended"
                    )
                part = shard.acquire(shards / name)
                try:
                    settle(shards, store.index(), part)
                    seal(part)
                finally:
                    shard.release(part)
        adopt(shards / name, store.index())  # what was not taken away, whatever became of its line
    return names


def numbers(store: Store, name: str) -> dict[str, int]:
    """Id -> number of all that a shard holds, shown or not."""
    part = store.part(name)
    with part.reading() as txn:
        return {v: int(entry["number"]) for v, entry in stored_entries(txn, part).items()}


def alike(first: Store, second: Store, video: str) -> bool:
    """Whether two stores have the same content under an id."""
    mine, theirs = first.video(video), second.video(video)
    if any(getattr(mine, name) != getattr(theirs, name) for name in ABOUT):
        return False
    return fingerprint(first, video) == fingerprint(second, video)


def fingerprint(store: Store, video: str) -> str:
    """Of a video's content; computed where an older version stored it."""
    listed = store.index().find(video)
    if listed is None:
        raise StoreError(f"{video!r} was deleted from {store.folder} meanwhile")
    entry = parse_entry(listed.value, store.meta_type)
    if entry.content:
        return entry.content
    sums = {kind: bytearray() for kind in entry.per_chunk}
    part = store.part(listed.shard)
    with part.reading() as txn:
        for kind, key, _ in expected_records(entry):
            record = txn.get(key, db=part.records)
            if record is None:
                raise StoreError(
                    f"{video!r} is damaged in {store.folder}; `twostream verify {store.folder} "
                    "--repair`"
                )
            sums[kind] += chunk.checksums(record)
    return content_of({kind: bytes(of_kind) for kind, of_kind in sums.items()})


def bring(part: Part, target: Store, result: Merged, move: bool) -> None:
    """Link one shard into the store, check it there, and show its videos."""
    shards = target.folder / "shards"
    fresh = shards / f"{FRESH}{uuid4().hex}"
    try:
        fresh.mkdir()
        for file in (DATA, SEALED):
            linked = link_or_copy(part.folder / file, fresh / file)
            size = (fresh / file).stat().st_size
            result.linked += size * linked
            result.copied += size * (not linked)
        atomic.sync(fresh)
        check_seal(fresh)
        with publishing(shards):
            index = target.index()
            late = [video for video in part.added if index.place(video) is not None]
            if late:
                raise StoreError(
                    f"{late[0]!r} was stored in {target.folder} meanwhile; merge again"
                )
            name = rename_new(fresh, shards)
            lines = [shard_line(name)]
            for video, number in part.hidden.items():
                lines.append(dropping_line(name, number, video))
            for content in part.added.values():
                lines.append(listing_line(name, content["number"], json_value(content)))
            index.append(lines)
    except OSError as error:
        raise faults.unwritten(target.folder, error) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    result.shards += 1
    result.videos += len(part.added)
    if move:
        with publishing(part.folder.parent):
            part.store.index().append([gone_line(part.folder.name)])
        shutil.rmtree(part.folder)


def link_or_copy(source: Path, target: Path) -> bool:
    """One file under a second name; a copy, on the disk, where that cannot be. Whether linked."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copyfile(source, target)
        atomic.sync(target)
        return False
    return True
