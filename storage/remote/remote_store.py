"""A store that lies elsewhere, read from sealed shards that are fetched whole when first needed.

    store = open_remote("s3://bucket/ucf101.store", cache="/local/stores")

Manifest and index are fetched each time a store is opened. A shard comes into the cache when the
first video in it is read; all processes of a machine share it. See docs/store.md.
"""

from __future__ import annotations

import hashlib
import json
from itertools import count
from pathlib import Path
from typing import Any

from storage import atomic
from storage.errors import StoreError, UserError
from storage.remote.fetching import FileCache, alone_with, read_remote
from storage.store import Shard, Store

MANIFEST, INDEX, SEAL, DATA = "store.json", "index.log", "sealed.json", "data.mdb"
LOCK_FILE = ".lock"


def open_remote(url: str, cache: str | Path) -> RemoteStore:
    """The store under a URL that fsspec opens, to read. `cache`: a folder for what is fetched."""
    if "://" not in url:
        raise UserError(f"{url!r} is no URL such as s3://bucket/name; open_store opens a folder")
    url = url.rstrip("/")
    manifest, index = (read_remote(f"{url}/{name}") for name in (MANIFEST, INDEX))
    mark = hashlib.sha256(url.encode()).hexdigest()[:16]
    folder = own_folder(Path(cache) / f"{url.rpartition('/')[2]}-{mark}", manifest, index)
    store = RemoteStore.open(folder)
    store.url = url
    return store


def own_folder(home: Path, manifest: bytes, index: bytes) -> Path:
    """The folder under `home` of the store that has this manifest and index, brought up to date.

    An index only grows. One that does not go on from that of a folder is of a store that was
    compacted or exchanged for another. Its shards may have the names of those that were fetched,
    and somebody may be reading these. So it gets a folder of its own.
    """
    for turn in count():
        folder = home / str(turn)
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        with alone_with(folder / LOCK_FILE):
            known = [(folder / n).read_bytes() for n in (MANIFEST, INDEX) if (folder / n).exists()]
            if len(known) == 2:
                if known[0] != manifest or not begins_alike(known[1], index):
                    continue
                if len(index) <= len(known[1]):
                    return folder
            atomic.write_bytes(folder / INDEX, index)
            atomic.write_bytes(folder / MANIFEST, manifest)
            return folder
    raise AssertionError  # count has no end


def begins_alike(one: bytes, other: bytes) -> bool:
    return one.startswith(other) or other.startswith(one)


class RemoteStore(Store):
    """Made by `open_remote`."""

    url = ""

    def __repr__(self) -> str:
        return f"RemoteStore({self.url!r}, {self.meta.codec}, {self.meta.quantizer.rule})"

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "url": self.url}

    def part(self, name: str) -> Shard:
        """A shard, fetched when it is first read."""
        self._check_process()
        if name not in self._shards:
            self._fetch(name)
        return super().part(name)

    def _fetch(self, name: str) -> None:
        """The shard `name` as its seal says it is. The seal comes last."""
        there, here = f"{self.url}/shards/{name}", self.folder / "shards" / name
        try:
            seal = read_remote(f"{there}/{SEAL}")
        except StoreError as error:
            raise StoreError(
                f"shard {name} of {self.url} is not sealed, and only sealed shards can be fetched "
                f"({error}); `twostream merge STORE --out NEW` seals all of a store"
            ) from None
        try:
            expected = json.loads(seal)["files"][DATA]
            size, sha256 = int(expected["bytes"]), str(expected["sha256"])
        except (KeyError, TypeError, ValueError):
            raise StoreError(f"{there}/{SEAL} is damaged") from None
        here.mkdir(exist_ok=True)
        with alone_with(here / LOCK_FILE):
            if (here / SEAL).exists() and (here / SEAL).read_bytes() != seal:
                raise StoreError(
                    f"{there} is another file than the one that was fetched; when nobody reads "
                    f"{self.folder}, delete that folder"
                )
            if not (here / SEAL).exists():  # a process was killed before it had said whose this is
                (here / DATA).unlink(missing_ok=True)
            FileCache(here).fetch(f"{there}/{DATA}", DATA, size, sha256)
            if not (here / SEAL).exists():
                atomic.write_bytes(here / SEAL, seal)
