"""What every store of ours is: a directory of LMDB shards with records of videos, and a manifest.

A video is there whole or not at all; a process that dies loses only the video it had in hand; any
number of processes may read and write at once. What the records mean is the business of the two
kinds of stores: `storage.store` (flow and frames) and `storage.features`.

A store can be pickled, and used after fork and spawn: each process opens the files it reads when
it first reads them.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from storage.errors import StoreError, UserError
from storage.store import claim, manifest, sealing, shard
from storage.store.finding import Location, M, VideoFinder
from storage.store.index import Listed
from storage.store.keys import (
    check_id,
    parse_entry,
)
from storage.store.lines import dropping_line, listing_line
from storage.store.reading import Reader
from storage.store.settling import settle, upgrade, withdraw
from storage.store.writer import RecordWriter, drop_numbers

MODES = ("r", "w", "a")
BATCH = 1000
"""Index entries that `metas` reads at a time."""

W = TypeVar("W", bound=RecordWriter)
"""What takes the content of a video."""


class ShardedStore(VideoFinder[M], ABC, Generic[M, W]):
    """A kind of store says what it knows of a video, how one is written, and how it is read."""

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
        super()._reset()
        self._reader = Reader()
        self._claims = False
        self._indexed = False

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
        videos = {video for name in self._others() for video in self.videos_in(name)}
        return sorted(videos.union(self._index.videos()))

    def videos_in(self, name: str) -> list[str]:
        """The ids of one shard."""
        self._check_process()
        self._index.refresh()
        if name in self._index.shards():
            return sorted(self._index.videos(name))
        part = self.part(name)
        with part.reading() as txn, txn.cursor(part.videos) as cursor:
            return [
                parse_entry(cursor.value(), self.meta_type).meta.video
                if key[0] == 0xFF
                else bytes(key).decode("utf-8", "surrogatepass")
                for key in cursor.iternext(values=False)
            ]

    def metas(self) -> Iterator[M]:
        """What the store knows of each video, in no order; quicker than one by one."""
        others = self._others()
        alone = not others or (len(others) == 1 and not len(self._index))
        seen: set[str] = set() if alone else set(self._index.videos())
        for listed in self._index.entries():
            yield self._entry(listed).meta
        for name in others:
            for meta in self._metas_in(name):
                if alone or meta.video not in seen:
                    seen.add(meta.video)
                    yield meta

    def _metas_in(self, name: str) -> Iterator[M]:
        """Some at a time: no transaction is open while the caller does what it likes."""
        part = self.part(name)
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
        names = self._others()
        if not names:
            return len(self._index)
        if len(names) != 1 or len(self._index):
            return len(self.videos())
        part = self.part(names[0])
        with part.reading() as txn:
            return int(txn.stat(part.videos)["entries"])

    def _items(self, video: str, kind: str, indices: Sequence[int]) -> list[bytes]:
        """The coded items of one kind, checked."""
        known = self._locate(video).entry.meta
        items: list[bytes] = []
        for attempt in (1, 2):
            location = self._locate(video)
            if location.entry.meta != known:
                raise StoreError(f"{video!r} was stored anew while it was read; read it again")
            if not self._moved(video, location):
                try:
                    items = self._items_at(video, location, kind, indices)
                except StoreError:
                    if attempt == 2 or not self._moved(video, location):
                        raise
                else:
                    if len(items) == len(indices):
                        return items
            self._locations.pop(video, None)  # deleted, or stored anew, since it was looked up
        raise self._damaged(video, StoreError(f"{kind} {indices[len(items)]} is missing"))

    def _items_at(
        self, video: str, location: Location, kind: str, indices: Sequence[int]
    ) -> list[bytes]:
        """The same from one place; fewer where one is missing."""
        part = self.part(location.shard)
        with part.reading() as txn:
            try:
                return self._reader.items(part, txn, location.entry, kind, indices)
            except StoreError as error:
                raise self._damaged(video, error) from None

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
        mine = self._own_shard()
        part = self.part(mine.name)
        writer = self._writer(video, part, mine.token)
        try:
            yield writer
            writer.publish()
            writer.published = self._show(mine.name, writer, replace)
            if writer.published:
                drop_numbers(part, writer.replaced)
            self._locations.pop(video, None)
        finally:
            if not writer.published and writer.number is not None:
                mine.unfinished.append(writer.number)
                with suppress(StoreError):  # a full disk, say; the next video tries again
                    if writer.stored is not None:
                        mine.settled = False
                        withdraw(part, video, writer.number)
                    drop_numbers(part, mine.unfinished)
                    mine.unfinished.clear()
            mine.in_hand -= 1

    def _show(self, name: str, writer: W, replace: bool) -> bool:
        """Add the line that makes a stored video visible; not if another process was quicker."""
        assert writer.number is not None  # it was published
        line = listing_line(name, writer.number, writer.value)
        with claim.publishing(self.folder / "shards"):
            if not replace and self._find(writer.video) is not None:
                return False
            self._index.append([line], soon=not replace)
        return True

    def delete(self, video: str) -> None:
        """Drop a video; its space is used again, or given back by `twostream compact`."""
        self._need_writable()
        self._locate(video)
        self._make_index()
        with claim.publishing(self.folder / "shards"):
            self._index.refresh()
            listed = self._index.find(video)
            if listed is not None:
                self._index.append([dropping_line(listed.shard, listed.number, video)])
        self._locations.pop(video, None)
        if listed is not None:
            self._clear_away(listed, video)

    def _clear_away(self, listed: Listed, video: str) -> None:
        """Remove what was deleted, unless its shard is sealed or another process writes it."""
        shards = self.folder / "shards"
        with claim.current(shards) as mine:
            if mine is not None and mine.name == listed.shard:
                part = self.part(listed.shard)
                withdraw(part, video, listed.number)
                return drop_numbers(part, [listed.number])
        if not sealing.is_sealed(shards / listed.shard):
            with claim.unclaimed(shards / listed.shard) as free:
                if free:
                    settle(shards, self._index, self.part(listed.shard))

    def close(self) -> None:
        """Let go of the files; the store opens them again when it is used again."""
        if self._pid == os.getpid():
            if self._claims:
                with suppress(StoreError):
                    self._index.sync()
                claim.give_back(self.folder / "shards")
            for part in self._shards.values():
                shard.release(part)
            self._index.close()
        self._reset()

    def _need_writable(self) -> None:
        if not self.writable:
            raise UserError(f"{self.folder} was opened to read; open it with mode 'a'")

    def _make_index(self) -> None:
        """Let the index speak of every shard there is."""
        self._check_process()
        if not self._indexed:
            upgrade(self.folder, self.form, self._index)
            self._indexed = True

    def _own_shard(self) -> claim.Claim:
        """The shard to write the next video to, settled, and with room for it."""
        self._make_index()
        shards = self.folder / "shards"
        with claim.current(shards) as mine:
            if mine is None or not self._claims:
                mine = claim.take(shards)
                self._claims = True
            try:
                part = self.part(mine.name)
                if not mine.in_hand:
                    drop_numbers(part, mine.unfinished)
                    mine.unfinished.clear()
                    if sealing.is_full(part):
                        self._settle(mine)
                        self._index.sync()  # nobody settles a sealed shard
                        sealing.seal(part)
                        mine = claim.exchange(shards)
                    self._settle(mine)
            except BaseException:
                self._claims = False
                claim.give_back(shards)
                raise
            mine.in_hand += 1
            return mine

    def _settle(self, mine: claim.Claim) -> None:
        if not mine.settled:
            settle(self.folder / "shards", self._index, self.part(mine.name))
            mine.settled = True
