"""Where each video of a store lies: by its index, and in the shards that this does not speak of."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from storage.errors import StoreError
from storage.store import faults, manifest, shard
from storage.store.environment import shard_names
from storage.store.index import Index, Listed
from storage.store.keys import Entry, StoredMeta, check_id, parse_entry, video_key

REMEMBERED = 16384
"""Videos whose place a store keeps in mind."""
M = TypeVar("M", bound=StoredMeta)
"""What is known of a video."""


class Location(NamedTuple):
    """Where a video lies."""

    shard: str
    entry: Entry[Any]
    place: int | None
    """In the index; None where it does not speak of that shard."""


class VideoFinder(Generic[M]):
    """What a process knows of the shards of a store: those it has open, and where videos are."""

    folder: Path
    form: ClassVar[manifest.Form[Any]]
    meta_type: type[M]

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._shards: dict[str, shard.Shard] = {}
        self._holding = threading.RLock()
        self._locations: dict[str, Location] = {}
        self._index = Index(self.folder)
        self._names: list[str] = []
        self._unlisted: list[str] = []
        self._seen: tuple[object, int] = (None, 0)

    def index(self) -> Index:
        """Which videos it shows, and where, as of now."""
        self._check_process()
        self._index.refresh()
        return self._index

    def shards(self) -> list[str]:
        """The names of the shards there are now."""
        try:
            return shard_names(self.folder / "shards")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise faults.refused(self.folder, error, "read") from error

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            self._reset()

    def part(self, name: str) -> shard.Shard:
        """A shard, opened when it is first read."""
        self._check_process()
        part = self._shards.get(name)
        if part is None:
            with self._holding:
                part = self._shards.get(name)
                if part is None:
                    part = self._shards[name] = shard.acquire(self.folder / "shards" / name)
        return part

    def layout(self) -> int:
        """The version of its layout on the disk: see docs/store.md."""
        return manifest.layout_of(self.folder, self.form)

    def _others(self) -> list[str]:
        """The shards that the index does not speak of; all where there is none."""
        self._check_process()
        index = self._index
        index.refresh()
        if not index.exists:
            return self.shards()
        if index.state != self._seen:
            if index.state[0] != self._seen[0]:
                self._names = self.shards()
            self._unlisted = [name for name in self._names if not index.speaks_of(name)]
            self._seen = index.state
        return self._unlisted

    def _find(self, video: str) -> Location | None:
        """Where a video lies now. Of shards that are not indexed, the first that has it counts."""
        key = video_key(check_id(video))
        others = self._others()
        place = self._index.place(video)
        listed = self._index.find(video)
        if listed is not None:
            return Location(listed.shard, self._entry(listed), place)
        for name in others:
            part = self.part(name)
            with part.reading() as txn:
                value = txn.get(key, db=part.videos)
                if value is not None:
                    try:
                        return Location(name, parse_entry(value, self.meta_type), None)
                    except StoreError as error:
                        raise self._damaged(video, error) from None
        return None

    def _entry(self, listed: Listed) -> Entry[M]:
        return parse_entry(listed.value, self.meta_type)

    def _moved(self, video: str, location: Location) -> bool:
        """Whether a video was deleted or stored anew since it was looked up."""
        self._index.refresh()
        return self._index.place(video) != location.place

    def _locate(self, video: str) -> Location:
        self._check_process()
        location = self._locations.get(video)
        if location is None:
            location = self._find(video)
            if location is None:
                raise StoreError(f"{video!r} is not in {self.folder}{self._index.doubt()}")
            if len(self._locations) >= REMEMBERED:
                self._locations.clear()
            self._locations[video] = location
        return location

    def _damaged(self, video: str, error: StoreError) -> StoreError:
        return StoreError(
            f"{video!r} is damaged in {self.folder}: {error}; "
            f"`twostream verify {self.folder} --repair` drops it, so that {self.form.maker} "
            "makes it again"
        )
