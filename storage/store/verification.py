"""Reading every record of a store: what is whole, what is damaged, and dropping what is damaged.

Each shard is read in a process of its own, for a damaged page can end the process that reads it.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from storage.errors import DamageError, StoreError
from storage.store import chunk, faults, shard
from storage.store.claim import unopened
from storage.store.config import VideoMeta
from storage.store.keys import (
    NUMBER,
    Entry,
    StoredMeta,
    entry_number,
    expected_records,
    parse_entry,
    record_keys,
)
from storage.store.report import Damage, Report, ShardReport
from storage.store.salvage import replace_shard
from storage.store.sealing import check_seal, is_sealed, quiet_shard
from storage.store.settling import adopt, hide, settle, tidy
from storage.store.sharded import ShardedStore
from storage.store.store import Store
from storage.store.writer import drop_numbers, pending_numbers

T = TypeVar("T")
FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
"""Signals that reading a damaged page can raise. Any other end of a process is not its fault."""
CRASHED = "its pages are damaged: reading them ends the process that does"


def verify(
    path: Path,
    repair: bool = False,
    progress: Callable[[str], None] = lambda text: None,
    kind: type[ShardedStore[Any, Any]] = Store,
) -> Report:
    """Read everything. With `repair`, drop what is damaged, so that it is made again."""
    store = kind.open(path, "a" if repair else "r")
    index = store.index()
    report = Report(str(path), [], kind.meta_type.COUNTED, index.damaged)
    for name in sorted({*store.shards(), *(n for n in index.shards() if index.count(n))}):
        progress(f"shard {name}")
        folder = path / "shards" / name
        with quiet_shard(folder) as free:
            report.shards.append(inspect(folder, free, False, store))
            if repair and report.shards[-1].faulty:
                with unopened(folder) if folder.is_dir() else nullcontext(True) as unread:
                    if not (free and unread):
                        raise StoreError(
                            f"shard {name} is damaged, and still being written or read: stop those "
                            "processes first; it was left as it is"
                        )
                    mend(store, folder, report, progress)
    if repair and index.damaged:
        mend_index(store)
    store.close()
    return report


def inspect(folder: Path, alone: bool, locked: bool, store: ShardedStore[Any, Any]) -> ShardReport:
    """What a shard holds of the videos that the store shows."""
    name, index = folder.name, store.index()
    if not folder.is_dir():
        return ShardReport(name, broken=f"{folder} is not there, and {index.path} names it")
    shown = shown_numbers(store, name)
    report = apart(check, folder, alone, locked, store.meta_type, shown)
    report = report or ShardReport(name, broken=CRASHED)
    if report.missing:  # a writer may have deleted them meanwhile
        still = shown_numbers(store, name) or {}
        report.missing = [number for number in report.missing if number in still]
    return report


def shown_numbers(store: ShardedStore[Any, Any], name: str) -> dict[int, bytes] | None:
    """The numbers in a shard that the index shows, with their entries; None where it does not
    speak of the shard."""
    index = store.index()
    return {e.number: e.value for e in index.entries(name)} if index.speaks_of(name) else None


def mend(
    store: ShardedStore[Any, Any],
    folder: Path,
    report: Report,
    progress: Callable[[str], None],
) -> None:
    """Repair a shard that nobody else has open."""
    found = report.shards[-1] = inspect(folder, True, True, store)
    if not found.faulty:
        return
    if not (found.broken or is_sealed(folder)):
        dropped = repair_shard(folder, found, store)
        if dropped is not None:
            report.dropped += dropped
            return
    progress(f"shard {folder.name}: copying what is whole")
    known: set[str] = set()
    for name in store.shards():
        if name != folder.name:
            with suppress(StoreError):  # broken too: its turn comes, or has been
                known.update(store.videos_in(name))
    report.salvaged += replace_shard(folder, store, known)


def mend_index(store: ShardedStore[Any, Any]) -> None:
    """Show again what lines that are damaged now have shown, and write the file anew."""
    for name in store.shards():
        with quiet_shard(store.folder / "shards" / name) as free:
            if free:
                with suppress(StoreError):  # a broken shard was put aside, or is named
                    adopt(store.folder / "shards" / name, store.index())
    tidy(store.folder / "shards", store.index())


def apart(work: Callable[..., T], *arguments: object) -> T | None:
    """Call `work` in a process of its own. None if a page ended it."""
    context = multiprocessing.get_context("forkserver")  # unlike fork, safe beside threads
    context.set_forkserver_preload([__name__])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, work, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        good, value = ours.recv()
    except EOFError:
        process.join()
        if process.exitcode in {-number for number in FAULTS}:
            return None
        raise StoreError(
            f"the process that read {arguments[0]} ended ({ended(process.exitcode or 0)}); nothing "
            "says that it is damaged, so it was left as it is"
        ) from None
    finally:
        process.kill()
        process.join()
        ours.close()
    if not good:
        raise value
    result: T = value
    return result


def _answer(pipe: Connection, work: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    try:
        answer: tuple[bool, Any] = True, work(*arguments)
    except Exception as error:
        answer = False, error
    pipe.send(answer)


def ended(code: int) -> str:
    """An exit code in words."""
    if code < 0 and -code in set(signal.Signals):
        return signal.Signals(-code).name + (", out of memory?" if -code == signal.SIGKILL else "")
    return f"exit code {code}"


def check(
    folder: Path,
    alone: bool,
    locked: bool = False,
    meta_type: type[StoredMeta] = VideoMeta,
    shown: Mapping[int, bytes] | None = None,
) -> ShardReport:
    """Read every record of one shard. `alone` if nobody writes it meanwhile, `locked` if the
    parent process keeps it from being opened elsewhere. `shown`: number -> entry of the videos
    that count; None if all do."""
    report = ShardReport(folder.name, broken=damaged_pages(folder) if alone else "")
    if report.broken:
        return report
    part = shard.acquire(folder, locked)
    seen: set[int | None] = set()
    try:
        after = b""
        more = True
        while more:  # a video at a time: writers wait for long transactions
            with part.reading() as txn, txn.cursor(part.videos) as cursor:
                more = cursor.set_range(after + b"\0") if after else cursor.first()
                if more:
                    after = bytes(cursor.key())
                    value = bytes(cursor.value())
                    number = number_in(value)
                    seen.add(number)
                    if shown is None or number is None or number in shown:
                        check_video(part, txn, after, value, report, meta_type)
                    else:
                        report.hidden.append(number)
        with part.reading() as txn:
            report.unfinished = pending_numbers(txn, part)
            numbers = named_numbers(txn, part) | {d.number for d in report.damaged}
            present = stored_numbers(txn, part.records)
            others = (shown or {}).keys() - seen
            for number in sorted(others & set(report.unfinished)):
                # something is about to take its place, or was when its writer died
                assert shown is not None
                check_video(part, txn, b"", shown[number], report, meta_type)
            report.missing = sorted(others - set(report.unfinished))
            report.orphans = sorted(
                present - numbers - set(report.unfinished) - set(report.missing)
            )
    except DamageError as error:
        report.broken = str(error)
    finally:
        shard.release(part)
    return report


def number_in(value: bytes | memoryview) -> int | None:
    """The number in an index entry; None where it is damaged."""
    with suppress(StoreError):
        return entry_number(value)
    return None


def named_numbers(txn: lmdb.Transaction, part: shard.Shard) -> set[int | None]:
    """The numbers of all videos that the shard's own index can name; None for damaged entries."""
    with txn.cursor(part.videos) as cursor:
        return {number_in(value) for value in cursor.iternext(keys=False)}


def damaged_pages(folder: Path) -> str:
    """What is wrong with the shard's trees themselves, as far as this lmdb can tell."""
    try:
        if is_sealed(folder):
            check_seal(folder)
        from lmdb.verify import VerifyError
        from lmdb.verify import verify as walk
    except ImportError:  # before lmdb 3; reading the records finds most of it
        return ""
    except DamageError as error:
        return str(error)
    try:
        faults.check_length(folder)
        findings = walk(str(folder / faults.DATA), subdir=False)
    except (VerifyError, DamageError) as error:
        return str(error)
    except OSError as error:
        raise faults.refused(folder, error, "read") from None
    return f"its pages are damaged: {findings[0]}" if findings else ""


def check_video(
    part: shard.Shard,
    txn: lmdb.Transaction,
    key: bytes,
    value: bytes,
    report: ShardReport,
    meta_type: type[StoredMeta],
) -> None:
    """Check one video's records and add it to the report."""
    try:
        entry = parse_entry(value, meta_type)
    except StoreError as error:
        video = key.decode("utf-8", "replace")
        report.damaged.append(Damage(report.name, key, video, None, str(error)))
        return
    try:
        sizes = check_records(part, txn, entry)
    except StoreError as error:
        damage = Damage(report.name, key, entry.meta.video, entry.number, str(error))
        report.damaged.append(damage)
    else:
        report.whole.append(entry.meta.video)
        report.counts.update({name: getattr(entry.meta, name) for name in meta_type.COUNTED})
        report.bytes += sum(sizes)
        report.records += len(sizes)


def check_records(part: shard.Shard, txn: lmdb.Transaction, entry: Entry[Any]) -> list[int]:
    """Bytes of each record of a video. An error if one is missing, damaged or too many."""
    sizes = []
    for _, key, items in expected_records(entry):
        record = txn.get(key, db=part.records)
        if record is None:
            raise StoreError("a record is missing")
        if chunk.count(record) != items:
            raise StoreError(f"a record holds {chunk.count(record)} items instead of {items}")
        chunk.unpack(record, 0, items)
        sizes.append(len(record))
    if sum(1 for _ in record_keys(txn, part.records, entry.number)) != len(sizes):
        raise StoreError("there are more records than the index says")
    return sizes


def stored_numbers(txn: lmdb.Transaction, records: Any) -> set[int]:
    """The numbers of all videos that have records."""
    present = set()
    with txn.cursor(records) as cursor:
        more = cursor.first()
        while more:
            (number,) = NUMBER.unpack(bytes(cursor.key())[: NUMBER.size])
            present.add(number)
            more = cursor.set_range(NUMBER.pack(number + 1))
    return present


def repair_shard(
    folder: Path, report: ShardReport, store: ShardedStore[Any, Any]
) -> list[str] | None:
    """Drop what is damaged from a shard that can be read: the ids. None if that does not help."""
    shown = shown_numbers(store, folder.name)
    if shown is not None:  # the index may know what the shard's own has lost
        part = shard.acquire(folder, locked=True)
        try:
            settle(folder.parent, store.index(), part, thorough=True)
        except DamageError:
            return None
        finally:
            shard.release(part)
        report = inspect(folder, True, True, store)
        hide(folder, store.index(), [damage.video for damage in report.damaged])
    apart(drop_damage, folder, report)
    faulty = inspect(folder, True, True, store).faulty
    return None if faulty else [damage.video for damage in report.damaged]


def drop_damage(folder: Path, report: ShardReport) -> None:
    """Drop damaged videos, and records that no entry names."""
    part = shard.acquire(folder, locked=True)
    try:
        for damage in report.damaged:
            drop_entry(part, damage.key)
        numbers = [*report.orphans, *(d.number for d in report.damaged if d.number is not None)]
        drop_numbers(part, numbers + report.unfinished)
    except DamageError:
        return  # the next check names what is damaged still
    finally:
        shard.release(part)


def drop_entry(part: shard.Shard, key: bytes) -> None:
    def work(txn: lmdb.Transaction) -> None:
        txn.delete(key, db=part.videos)

    part.write(work)
