"""Writing one video: coded and chunked as it comes, visible only when it is whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import lmdb
import numpy as np
from numpy.typing import NDArray

from storage.codecs import flow_codec, frame_codec
from storage.errors import StoreError, UserError
from storage.store.chunk import checksums, pack
from storage.store.config import StoreConfig, VideoMeta
from storage.store.keys import (
    NEXT,
    NUMBER,
    PENDING,
    PER_CHUNK,
    Entry,
    StoredMeta,
    content_of,
    entry_number,
    entry_value,
    record_key,
    record_keys,
    video_key,
)
from storage.store.shard import Shard

FLUSH = 8 << 20
"""Bytes of coded records that are held back; memory does not grow beyond a few times this."""


class RecordWriter(ABC):
    """Takes the items of one video, of several kinds; made by a store's `write`.

    Long videos are written in several transactions. Their records belong to a number that no
    index entry names yet; the last transaction writes the entry. What a dead process left under
    such a number is removed by the next owner of the shard.
    """

    def __init__(
        self, video: str, per_chunk: Mapping[str, int], shard: Shard, token: bytes = b""
    ) -> None:
        """`per_chunk`: kind -> items in a chunk; the last chunk of a kind may hold fewer. `token`:
        of the claim on the shard."""
        self.video = video
        self._shard = shard
        self.number: int | None = None
        """Under which records are written; None until the first ones are."""
        self.published = False
        """Whether it became visible; not if another process was quicker with the same video."""
        self.stored: Entry[Any] | None = None
        """Its entry in the shard, once it is there whole."""
        self.value = b""
        """The same as bytes."""
        self.replaced: list[int] = []
        """Numbers in the shard of what it takes the place of."""
        self._token = token
        self.per_chunk = dict(per_chunk)
        self._count = dict.fromkeys(self.per_chunk, 0)
        self._items: dict[str, list[bytes]] = {kind: [] for kind in self._count}
        self._ready: list[tuple[str, int, bytes]] = []
        self._ready_bytes = 0
        self._bytes = 0
        self._checksums = {kind: bytearray() for kind in self._count}

    @abstractmethod
    def _known(self) -> StoredMeta:
        """What the index will say of the video, without its size; an error where it is not whole
        or was not finished."""

    @abstractmethod
    def again(self, meta: Any, items: Iterable[tuple[str, list[bytes]]]) -> None:
        """Take over coded items of each kind as another shard had them, and finish as `meta`."""

    def _append(self, kind: str, item: bytes) -> None:
        self._count[kind] += 1
        waiting = self._items[kind]
        waiting.append(item)
        if len(waiting) == self.per_chunk[kind]:
            self._close_chunk(kind)
        if self._ready_bytes >= FLUSH:
            self._flush()

    def _close_chunk(self, kind: str) -> None:
        waiting = self._items[kind]
        if waiting:
            record = pack(waiting)
            self._ready.append((kind, (self._count[kind] - 1) // self.per_chunk[kind], record))
            self._ready_bytes += len(record)
            self._bytes += len(record)
            self._checksums[kind] += checksums(record)
            waiting.clear()

    def _flush(self) -> None:
        self.number = self._shard.write(self._put)
        self._ready.clear()
        self._ready_bytes = 0

    def _put(self, txn: lmdb.Transaction) -> int:
        number = self.number
        if number is None:
            found = txn.get(NEXT, db=self._shard.info)
            number = NUMBER.unpack(found)[0] if found else 0
            txn.put(NEXT, NUMBER.pack(number + 1), db=self._shard.info)
            txn.put(PENDING + NUMBER.pack(number), self._token, db=self._shard.info)
        elif txn.get(PENDING + NUMBER.pack(number), db=self._shard.info) != self._token:
            raise StoreError(
                f"{self.video!r} was not stored: another process took over {self._shard.folder} "
                "and removed what was written of it; extract it again"
            )
        for kind, chunk, record in self._ready:
            txn.put(record_key(number, kind, chunk), record, db=self._shard.records)
        return number

    def publish(self) -> None:
        """Give the video to its shard, whole, in one transaction. It is visible when the index
        says so."""
        meta = self._known()
        for kind in self._items:
            self._close_chunk(kind)
        meta = replace(meta, size=self._bytes)
        content = content_of({kind: bytes(sums) for kind, sums in self._checksums.items()})

        def work(txn: lmdb.Transaction) -> tuple[Entry[Any], bytes, list[int]]:
            number = self._put(txn)
            entry = Entry(number, meta, self.per_chunk, content)
            key = video_key(self.video)
            before = txn.get(key, db=self._shard.videos)
            replaced = [] if before is None else [entry_number(before)]
            for old in replaced:
                txn.put(PENDING + NUMBER.pack(old), b"", db=self._shard.info)
            value = entry_value(entry)
            txn.put(key, value, db=self._shard.videos)
            txn.delete(PENDING + NUMBER.pack(number), db=self._shard.info)
            return entry, value, replaced

        self.stored, self.value, self.replaced = self._shard.write(work)
        self.number = self.stored.number


class VideoWriter(RecordWriter):
    """Takes frames and flow of one video in any order; made by `Store.write`."""

    def __init__(self, video: str, config: StoreConfig, shard: Shard, token: bytes = b"") -> None:
        kinds = ("frames", *config.fields)
        super().__init__(video, {kind: PER_CHUNK[kind] for kind in kinds}, shard, token)
        self.config = config
        self._flow = flow_codec(config.codec, config.quantizer)
        self._frames = frame_codec(config.frame_codec)
        self._shape: tuple[int, int] | None = None
        self._meta: dict[str, Any] | None = None

    def frame(self, rgb: NDArray[np.uint8]) -> None:
        """Append one frame, uint8 (H, W, 3), RGB."""
        if self._frames is None:
            raise UserError("this store was made without frames (frame_codec none)")
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise UserError(f"a frame is uint8 (H, W, 3), not {rgb.dtype} {rgb.shape}")
        self._check_shape(rgb.shape[0], rgb.shape[1])
        self._append("frames", self._frames.encode(rgb))

    def flow(self, codes: NDArray[np.uint8], field: str = "forward") -> None:
        """Append pairs, uint8 (N, 2, H, W), to one of the store's fields."""
        if field not in self.config.fields:
            raise UserError(f"this store holds {', '.join(self.config.fields)} flow, not {field!r}")
        if codes.ndim != 4 or codes.shape[1] != 2 or codes.dtype != np.uint8:
            raise UserError(f"flow codes are uint8 (N, 2, H, W), not {codes.dtype} {codes.shape}")
        self._check_shape(codes.shape[2], codes.shape[3])
        for pair in codes:
            self._append(field, self._flow.encode(pair))

    def encoded(self, kind: str, item: bytes, height: int, width: int) -> None:
        """Append one item, already coded as this store's codec does it, to frames or a field."""
        if kind not in self._count or (kind == "frames" and self._frames is None):
            raise UserError(f"this store holds no {kind!r}")
        self._check_shape(height, width)
        self._append(kind, item)

    def finish(
        self,
        *,
        fps: float,
        source: dict[str, Any] | None = None,
        engine: str = "",
        quality: dict[str, Any] | None = None,
    ) -> None:
        """Say that all is there; the video becomes visible when the `with` block ends."""
        self._meta = {
            "fps": fps,
            "source": source or {},
            "engine": engine,
            "quality": quality or {},
        }

    def _check_shape(self, height: int, width: int) -> None:
        if self._shape is None:
            if not (height and width):
                raise UserError(f"an image of {width}x{height} cannot be stored")
            self._shape = height, width
        elif self._shape != (height, width):
            raise UserError(
                f"{self.video!r} is {self._shape[1]}x{self._shape[0]}, "
                f"and then something of {width}x{height} came"
            )

    def again(self, meta: VideoMeta, items: Iterable[tuple[str, list[bytes]]]) -> None:
        """See `RecordWriter.again`."""
        for kind, coded in items:
            for item in coded:
                self.encoded(kind, item, meta.height, meta.width)
        self.finish(fps=meta.fps, source=meta.source, engine=meta.engine, quality=meta.quality)

    def _known(self) -> VideoMeta:
        if self._meta is None:
            raise UserError(f"{self.video!r} was not finished: call finish(...) in the block")
        pairs = {self._count[field] for field in self.config.fields}
        if len(pairs) > 1:
            raise UserError(f"{self.video!r} has different numbers of pairs: {self._count}")
        count = pairs.pop() if pairs else 0
        frames = self._count["frames"]
        if self._frames is not None and count and count + self.config.step > frames:
            raise UserError(
                f"{self.video!r} has {count} pairs a step of {self.config.step} apart, but only "
                f"{frames} frames"
            )
        height, width = self._shape or (0, 0)
        return VideoMeta(self.video, frames, count, height, width, **self._meta)


def drop_numbers(shard: Shard, numbers: list[int]) -> None:
    """Remove the records of videos that the index does not name, a few at a time."""
    for number in numbers:

        def work(txn: lmdb.Transaction, number: int = number) -> bool:
            keys = record_keys(txn, shard.records, number)
            some = [key for key, _ in zip(keys, range(1000), strict=False)]
            for key in some:
                txn.delete(key, db=shard.records)
            if len(some) < 1000:
                txn.delete(PENDING + NUMBER.pack(number), db=shard.info)
            return len(some) < 1000

        while not shard.write(work):
            pass


def pending_numbers(txn: lmdb.Transaction, shard: Shard) -> list[int]:
    """Numbers whose videos were begun and are not finished."""
    numbers = []
    with txn.cursor(shard.info) as cursor:
        found = cursor.set_range(PENDING)
        while found and bytes(cursor.key()).startswith(PENDING):
            numbers.append(NUMBER.unpack(bytes(cursor.key())[len(PENDING) :])[0])
            found = cursor.next()
    return numbers
