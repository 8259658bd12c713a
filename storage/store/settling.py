"""What a shard holds and what `index.log` says of it are brought together.

A video is first written into its shard, whole, and then shown by a line. Where a process died in
between, or where an older version wrote the shard, one of the two is behind. Whoever claims a
shard settles it: what was stored and not shown gets its line, unless another shard has a video of
that name; what was taken away, or never finished, is removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from storage.errors import StoreError
from storage.store import claim, faults, manifest, shard
from storage.store.environment import shard_names
from storage.store.index import Index, Listed
from storage.store.keys import (
    NUMBER,
    PENDING,
    entry_content,
    entry_number,
    json_value,
    record_keys,
    video_key,
)
from storage.store.lines import dropping_line, listing_line, shard_line
from storage.store.writer import drop_numbers, pending_numbers


def stored_entries(txn: shard.Transaction, part: shard.Shard) -> dict[str, dict[str, Any]]:
    """Id -> the entry of every video that a shard holds; damaged entries are left out."""
    entries: dict[str, dict[str, Any]] = {}
    with txn.cursor(part.videos) as cursor:
        for value in cursor.iternext(keys=False):
            with suppress(StoreError):
                content = entry_content(value)
                entries[content["video"]] = content
    return entries


def listing_lines(
    index: Index, name: str, entries: Mapping[str, Mapping[str, Any]], others: Iterable[str] = ()
) -> list[str]:
    """What `index.log` must say so that a shard's videos are shown. `others`: ids that are shown
    by other lines, not written yet."""
    lines = [] if name in index.shards() else [shard_line(name)]
    dropped, taken = index.dropped(name), set(others)
    for video, content in sorted(entries.items()):
        number = int(content["number"])
        if number in dropped:
            continue
        shown = index.find(video)
        if shown is not None and (shown.shard, shown.number) == (name, number):
            continue
        if shown is not None or video in taken:
            lines.append(dropping_line(name, number, video))
        else:
            lines.append(listing_line(name, number, json_value(content)))
    return lines


def settle(shards: Path, index: Index, part: shard.Shard, thorough: bool = False) -> None:
    """Bring a shard that this process has claimed to what the index says, and the other way.

    Where nothing is pending and the numbers of videos agree, nothing is compared, unless
    `thorough`.
    """
    name = part.folder.name
    index.refresh()
    with part.reading() as txn:
        pending = pending_numbers(txn, part)
        stored = int(txn.stat(part.videos)["entries"])
    if name in index.shards() and stored == index.count(name) and not (pending or thorough):
        return
    with part.reading() as txn:
        entries = stored_entries(txn, part)
    with claim.publishing(shards):
        index.refresh()
        lines = listing_lines(index, name, entries)
        if lines:
            index.append(lines)
        live = {entry.number: entry for entry in index.entries(name)}
    with part.reading() as txn:  # of what was taken away, something may have been left
        remains = {n for n in index.dropped(name) if next(record_keys(txn, part.records, n), None)}
    gone = [entry for entry in entries.values() if entry["number"] not in live]
    restore(part, live, entries)
    for entry in gone:
        withdraw(part, entry["video"], entry["number"])
    for number in live.keys() & set(pending):
        unmark(part, number)
    drop_numbers(part, sorted({*pending, *remains, *(e["number"] for e in gone)} - live.keys()))


def restore(
    part: shard.Shard, live: Mapping[int, Listed], entries: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write entries again that the index has and the shard has lost, one by one: they are few."""
    known = {int(entry["number"]) for entry in entries.values()}
    for number in live.keys() - known:
        value = live[number].value
        key = video_key(entry_content(value)["video"])

        def work(txn: shard.Transaction, key: bytes = key, value: bytes = value) -> None:
            txn.put(key, value, db=part.videos)

        part.write(work)


def withdraw(part: shard.Shard, video: str, number: int) -> None:
    """Take the entry of a video that is not shown out of its shard; its records go later."""
    key = video_key(video)

    def work(txn: shard.Transaction) -> None:
        value = txn.get(key, db=part.videos)
        if value is not None and entry_number(value) == number:
            txn.delete(key, db=part.videos)
        txn.put(PENDING + NUMBER.pack(number), b"", db=part.info)

    part.write(work)


def unmark(part: shard.Shard, number: int) -> None:
    def work(txn: shard.Transaction) -> None:
        txn.delete(PENDING + NUMBER.pack(number), db=part.info)

    part.write(work)


def adopt(folder: Path, index: Index) -> None:
    """Let the index show what a shard holds, as far as nothing else has its name."""
    part = shard.acquire(folder)
    try:
        with part.reading() as txn:
            entries = stored_entries(txn, part)
    finally:
        shard.release(part)
    with claim.publishing(folder.parent):
        index.refresh()
        lines = listing_lines(index, folder.name, entries)
        if lines:
            index.append(lines)


def hide(folder: Path, index: Index, videos: Iterable[str]) -> None:
    """Take videos away that a shard holds."""
    with claim.publishing(folder.parent):
        index.refresh()
        found = [(video, index.find(video)) for video in videos]
        lines = [
            dropping_line(folder.name, listed.number, video)
            for video, listed in found
            if listed is not None and listed.shard == folder.name
        ]
        if lines:
            index.append(lines)


def tidy(shards: Path, index: Index) -> None:
    """Write the index anew, without the lines that have no meaning any more."""
    with claim.publishing(shards):
        index.refresh()
        if index.exists and (index.superfluous or index.damaged):
            index.rewrite(path.name for path in shards.iterdir())


def upgrade(folder: Path, form: manifest.Form[Any], index: Index) -> None:
    """Let the index speak of every shard there is; in a store of the first layout, or a new one,
    make it. No video is copied. A shard that cannot be read is left to `twostream verify`."""
    shards = folder / "shards"
    if index.exists and not unlisted(shards, index):
        return
    with claim.publishing(shards):
        index.refresh()
        if not index.exists:
            manifest.upgrade_manifest(folder, form)
        lines: list[str] = []
        shown: set[str] = set()
        for path in unlisted(shards, index):
            part = shard.acquire(path)
            try:
                with part.reading() as txn:
                    entries = stored_entries(txn, part)
            except StoreError:
                continue
            finally:
                shard.release(part)
            lines += listing_lines(index, path.name, entries, shown)
            shown |= entries.keys()
        if lines or not index.exists:
            index.append(lines)


def unlisted(shards: Path, index: Index) -> list[Path]:
    """The shards that the index does not speak of."""
    try:
        names = shard_names(shards)
    except OSError as error:
        raise faults.refused(shards, error, "written") from None
    return [shards / name for name in names if not index.speaks_of(name)]
