"""What every store of ours is: a directory of LMDB shards with records of videos, and a manifest.

A video is there whole or not at all; a process that dies loses only the video it had in hand; any
number of processes may read and write at once. What the records mean is the business of the two
kinds of stores: `storage.store` (flow and frames) and `storage.features`.

A store can be pickled, and used after fork and spawn: each process opens the files it reads when
it first reads them.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from storage.errors import StoreError, UserError
from storage.store import chunk, claim, faults, manifest, shard
from storage.store.keys import (
    NUMBER,
    PENDING,
    Entry,
    StoredMeta,
    check_id,
    parse_entry,
    record_key,
    video_key,
)
from storage.store.writer import RecordWriter, drop_numbers, pending_numbers

MODES = ("r", "w", "a")
REMEMBERED = 16384
"""Videos whose place a store keeps in mind."""
BATCH = 1000
"""Index entries that `metas` reads at a time."""

M = TypeVar("M", bound=StoredMeta)
"""What is known of a video."""
W = TypeVar("W", bound=RecordWriter)
"""What takes the content of a video."""


class Location(NamedTuple):
    """Where a video lies."""

    shard: str
    entry: Entry[Any]


class ShardedStore(ABC, Generic[M, W]):
    """A kind of store says what it knows of a video, how one is written, and how it is read."""

    form: ClassVar[manifest.Form[Any]]
    meta_type: type[M]

    def __init__(self, folder: Path, meta: Any, writable: bool) -> None:
        self.folder = folder
        self.meta = meta
        self.writable = writable
        self._reset()

    @classmethod
    def open(cls, path: str | Path, mode: str = "r", config: Any = None) -> Self:
        """Open the store in the directory `path`.

        r  read only; it must exist
        w  make it, as `config` says; it must not exist
        a  open for adding, and make it if `config` is given; a `config` must equal its own
        """
        if mode not in MODES:
            raise UserError(f"mode {mode!r} is not one of {', '.join(MODES)}")
        folder = Path(path)
        if mode == "w":
            if config is None:
                raise UserError("a new store needs a config that says how its content is made")
            if not manifest.create_manifest(folder, config, cls.form):
                raise StoreError(
                    f"{folder} is a store already; open it to add, or give another folder"
                )
        elif mode == "a" and config is not None and not (folder / cls.form.name).exists():
            manifest.create_manifest(folder, config, cls.form)
        stored = manifest.read_manifest(folder, cls.form)
        different = stored.differences(config) if config is not None else []
        if different:
            raise StoreError(
                f"{folder} was made in another way: {'; '.join(different)}; "
                "ask for the same, or give another folder"
            )
        return cls(folder, stored, writable=mode != "r")

    @abstractmethod
    def _writer(self, video: str, part: shard.Shard, token: bytes) -> W:
        """What `write` yields. `token`: of the claim on the shard."""

    def writer_into(self, video: str, part: shard.Shard) -> W:
        """A writer into a shard that nobody else can see yet."""
        return self._writer(video, part, b"")

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._shards: dict[str, shard.Shard] = {}
        self._holding = threading.RLock()
        self._unfinished: list[int] = []
        self._locations: dict[str, Location] = {}
        self._claimed: claim.Claim | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "meta": self.meta, "writable": self.writable}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what is inside

    def videos(self) -> list[str]:
        """The ids of all videos, sorted."""
        return sorted({video for name in self.shards() for video in self.videos_in(name)})

    def videos_in(self, name: str) -> list[str]:
        """The ids of one shard."""
        part = self._shard(name)
        with part.reading() as txn, txn.cursor(part.videos) as cursor:
            return [
                parse_entry(cursor.value(), self.meta_type).meta.video
                if key[0] == 0xFF
                else bytes(key).decode("utf-8", "surrogatepass")
                for key in cursor.iternext(values=False)
            ]

    def metas(self) -> Iterator[M]:
        """What the store knows of each video, in no order; quicker than one by one."""
        names = self.shards()
        seen: set[str] = set()
        for name in names:
            for meta in self._metas_in(name):
                if len(names) == 1 or meta.video not in seen:
                    seen.add(meta.video)
                    yield meta

    def _metas_in(self, name: str) -> Iterator[M]:
        """Some at a time: no transaction is open while the caller does what it likes."""
        part = self._shard(name)
        after: bytes | None = b""
        while after is not None:
            with part.reading() as txn, txn.cursor(part.videos) as cursor:
                if after and not cursor.set_range(after + b"\0"):
                    return
                some = [(bytes(key), bytes(value)) for key, value in islice(cursor, BATCH)]
            after = some[-1][0] if len(some) == BATCH else None
            for _, value in some:
                yield parse_entry(value, self.meta_type).meta

    def video(self, video: str) -> M:
        """What the store knows of one video."""
        meta: M = self._locate(video).entry.meta
        return meta

    def __contains__(self, video: object) -> bool:
        return isinstance(video, str) and bool(video) and self._find(video) is not None

    def __len__(self) -> int:
        names = self.shards()
        if len(names) != 1:
            return len(self.videos())
        part = self._shard(names[0])
        with part.reading() as txn:
            return int(txn.stat(part.videos)["entries"])

    def shards(self) -> list[str]:
        """The names of the shards there are now."""
        try:
            return sorted(n for n in os.listdir(self.folder / "shards") if not n.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise faults.refused(self.folder, error, "read") from error

    def _items(self, video: str, kind: str, indices: Sequence[int]) -> list[bytes]:
        """The coded items of one kind, checked."""
        known = self._locate(video).entry.meta
        for _attempt in (1, 2):
            location = self._locate(video)
            if location.entry.meta != known:
                raise StoreError(f"{video!r} was stored anew while it was read; read it again")
            per_chunk = location.entry.per_chunk[kind]
            part = self._shard(location.shard)
            items: list[bytes] = []
            with part.reading() as txn:
                at = 0
                while at < len(indices):
                    number, first = divmod(indices[at], per_chunk)
                    # neighbours in one chunk are taken together
                    stop = at + 1
                    while (
                        stop < len(indices)
                        and indices[stop] == indices[stop - 1] + 1
                        and indices[stop] // per_chunk == number
                    ):
                        stop += 1
                    record = txn.get(
                        record_key(location.entry.number, kind, number), db=part.records
                    )
                    if record is None:
                        break
                    try:
                        items += chunk.unpack(record, first, first + stop - at)
                    except StoreError as error:
                        raise self._damaged(video, error) from None
                    at = stop
            if len(items) == len(indices):
                return items
            self._locations.pop(video, None)  # deleted, or stored anew, since it was looked up
        raise self._damaged(video, StoreError(f"{kind} {indices[len(items)]} is missing"))

    def _damaged(self, video: str, error: StoreError) -> StoreError:
        return StoreError(
            f"{video!r} is damaged in {self.folder}: {error}; "
            f"`twostream verify {self.folder} --repair` drops it, so that {self.form.maker} "
            "makes it again"
        )

    # -- writing

    @contextmanager
    def write(self, video: str, replace: bool = False) -> Iterator[W]:
        """Add a video: it is there when the block ends normally, and not at all otherwise.

        With `replace` it takes the place of the one of that name, which is there until then.
        """
        self._need_writable()
        check_id(video)
        if video in self and not replace:
            raise StoreError(f"{video!r} is in {self.folder} already; delete it first")
        part = self._own_shard()
        drop_numbers(part, self._unfinished)
        self._unfinished.clear()
        assert self._claimed is not None
        mine = self._claimed
        writer = self._writer(video, part, mine.token)
        try:
            yield writer
            with claim.publishing(self.folder / "shards"):
                if replace or self._find(video) is None:  # else another process was quicker
                    writer.publish()
                for name in self.shards() if replace else ():
                    if name != mine.name:
                        self.delete_in(name, video)
            self._locations.pop(video, None)
        finally:
            if not writer.published and writer.number is not None:
                self._unfinished.append(writer.number)
                with suppress(StoreError):  # a full disk, say; the next video tries again
                    drop_numbers(part, self._unfinished)
                    self._unfinished.clear()

    def delete(self, video: str) -> None:
        """Drop a video; its space is used again, or given back by `twostream compact`."""
        self._need_writable()
        self._locate(video)
        while (location := self._find(video)) is not None:
            self.delete_in(location.shard, video)

    def delete_in(self, name: str, video: str) -> None:
        """Drop the copy of a video that one shard holds, if it does."""
        self._need_writable()
        part = self._shard(name)
        key = video_key(check_id(video))

        def work(txn: shard.Transaction) -> int | None:
            value = txn.get(key, db=part.videos)
            if value is None:
                return None
            number = parse_entry(value, self.meta_type).number
            txn.delete(key, db=part.videos)
            txn.put(PENDING + NUMBER.pack(number), b"", db=part.info)
            return number

        number = part.write(work)
        if number is not None:
            drop_numbers(part, [number])
        self._locations.pop(video, None)

    def close(self) -> None:
        """Let go of the files; the store opens them again when it is used again."""
        if self._pid == os.getpid():
            if self._claimed is not None:
                claim.give_back(self.folder / "shards")
            for part in self._shards.values():
                shard.release(part)
        self._reset()

    def _need_writable(self) -> None:
        if not self.writable:
            raise UserError(f"{self.folder} was opened to read; open it with mode 'a'")

    def _own_shard(self) -> shard.Shard:
        self._check_process()
        with self._holding:
            if self._claimed is None:
                self._claimed, fresh = claim.take(self.folder / "shards")
                part = self._shard(self._claimed.name)
                if fresh:
                    with part.reading() as txn:
                        unfinished = pending_numbers(txn, part)
                    drop_numbers(part, unfinished)
            return self._shard(self._claimed.name)

    # -- finding

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            self._reset()

    def _shard(self, name: str) -> shard.Shard:
        self._check_process()
        part = self._shards.get(name)
        if part is None:
            with self._holding:
                part = self._shards.get(name)
                if part is None:
                    part = self._shards[name] = shard.acquire(self.folder / "shards" / name)
        return part

    def _find(self, video: str) -> Location | None:
        """Where a video lies now; the first shard that has it counts."""
        key = video_key(check_id(video))
        for name in self.shards():
            part = self._shard(name)
            with part.reading() as txn:
                value = txn.get(key, db=part.videos)
                if value is not None:
                    try:
                        return Location(name, parse_entry(value, self.meta_type))
                    except StoreError as error:
                        raise self._damaged(video, error) from None
        return None

    def _locate(self, video: str) -> Location:
        self._check_process()
        location = self._locations.get(video)
        if location is None:
            location = self._find(video)
            if location is None:
                raise StoreError(f"{video!r} is not in {self.folder}")
            if len(self._locations) >= REMEMBERED:
                self._locations.clear()
            self._locations[video] = location
        return location
