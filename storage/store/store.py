"""The store: a directory of videos as quantised flow and frames, that says how it was made.

    store = open_store("ucf101.store")
    stack = store.read_flow("Biking/v_Biking_g01_c01", start=7, length=10)   # uint8 (10, 2, H, W)

A store can be pickled, and used after fork and spawn: each process opens the files it reads when
it first reads them. Any number of processes may read and write at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.codecs import expect, flow_codec, frame_codec
from storage.errors import StoreError, UserError
from storage.store import manifest, shard
from storage.store.config import StoreConfig, VideoMeta
from storage.store.sharded import ShardedStore
from storage.store.writer import VideoWriter


def open_store(path: str | Path, mode: str = "r", config: StoreConfig | None = None) -> Store:
    """Open the store in the directory `path`.

    r  read only; it must exist
    w  make it, as `config` says; it must not exist
    a  open for adding, and make it if `config` is given; a `config` must equal the store's own
    """
    return Store.open(path, mode, config)


class Store(ShardedStore[VideoMeta, VideoWriter]):
    """Made by `open_store`."""

    form = manifest.STORE
    meta_type = VideoMeta
    meta: StoreConfig

    def _reset(self) -> None:
        super()._reset()
        self._flow_codec = flow_codec(self.meta.codec, self.meta.quantizer)
        self._frame_codec = frame_codec(self.meta.frame_codec)

    def _writer(self, video: str, part: shard.Shard, token: bytes) -> VideoWriter:
        return VideoWriter(video, self.meta, part, token)

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r}, {self.meta.codec}, {self.meta.quantizer.rule})"

    def read_flow(
        self, video: str, start: int, length: int, field: str = "forward"
    ) -> NDArray[np.uint8]:
        """Pairs `start` to `start + length`: uint8 (length, 2, H, W)."""
        if field not in self.meta.fields:
            raise UserError(
                f"{self.folder} holds {', '.join(self.meta.fields)} flow, not {field!r}"
            )
        meta = self.video(video)
        if start < 0 or length < 0 or start + length > meta.pairs:
            raise UserError(
                f"{video!r} has {meta.pairs} pairs; {start} to {start + length} were asked for"
            )
        out = np.empty((length, 2, meta.height, meta.width), np.uint8)
        items = self._items(video, field, range(start, start + length))
        for item, data in zip(out, items, strict=True):
            self._decode(self._flow_codec, data, item, video)
        return out

    def read_frames(self, video: str, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Frames by number, in the order asked for: uint8 (N, H, W, 3), RGB."""
        meta = self.video(video)
        if self._frame_codec is None:
            raise UserError(f"{self.folder} was made without frames")
        wrong = [int(index) for index in indices if not 0 <= index < meta.frames]
        if wrong:
            raise UserError(f"{video!r} has {meta.frames} frames; {wrong[0]} was asked for")
        out = np.empty((len(indices), meta.height, meta.width, 3), np.uint8)
        items = self._items(video, "frames", [int(index) for index in indices])
        for item, data in zip(out, items, strict=True):
            self._decode(self._frame_codec, data, item, video)
        return out

    def prepare(self, video: str, pairs: int) -> None:
        """Have what makes reading quick where about so many pairs, as large as this video's, will
        be read. Processes that are forked later have it too."""
        meta = self.video(video)
        expect(2 * pairs * meta.height * meta.width)

    def read_encoded(self, video: str, kind: str, start: int, length: int) -> list[bytes]:
        """Items of `frames` or a field as the codec stored them; what a converter passes on."""
        return self._items(video, kind, range(start, start + length))

    def _decode(self, codec: Any, data: bytes, item: NDArray[np.uint8], video: str) -> None:
        try:
            codec.decode(data, item)
        except StoreError as error:
            raise self._damaged(video, error) from None
