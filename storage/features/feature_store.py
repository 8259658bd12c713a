"""Features of videos, as safe as the store that they come from.

    store = open_features("ucf101.features")
    rows = store.read("Biking/v_Biking_g01_c01")       # float16 (T, D) or (T, D, h, w)
    frames = store.moments("Biking/v_Biking_g01_c01")  # int32 (T,)

No label is in it. A store can be pickled, and used after fork and spawn; any number of processes
may read and write at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import StoreError, UserError
from storage.features.config import SCHEMA, FeatureConfig, FeatureMeta
from storage.store import Form, RecordWriter, Shard, ShardedStore

NAME = "features.json"
STATISTICS, ENCODER = "statistics.npz", "encoder.npz"
RECORD_BYTES, MOST_STEPS = 1 << 19, 256
"""A record holds as many steps as these many bytes, about, and at most so many."""

Features = NDArray[np.float16] | NDArray[np.float32]


def steps_per_record(config: FeatureConfig) -> int:
    step = int(np.prod(config.shape)) * np.dtype(config.dtype).itemsize
    return max(1, min(MOST_STEPS, RECORD_BYTES // step))


class FeatureWriter(RecordWriter):
    """Takes the steps of one video in order; made by `FeatureStore.write`."""

    def __init__(self, video: str, config: FeatureConfig, shard: Shard, token: bytes = b"") -> None:
        per_chunk = {"features": steps_per_record(config), "moments": 1}
        super().__init__(video, per_chunk, shard, token)
        self.config = config
        self._meta: FeatureMeta | None = None

    def add(self, rows: NDArray[np.floating]) -> None:
        """Append steps, floats (n, D) or (n, D, h, w)."""
        if rows.shape[1:] != self.config.shape or rows.dtype.kind != "f":
            raise UserError(
                f"{self.video!r}: features of {rows.dtype} {rows.shape} came; this store's are "
                f"(T, {', '.join(map(str, self.config.shape))})"
            )
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(rows, self.config.dtype)
        if not np.isfinite(stored).all():
            large = bool(np.isfinite(rows).all())
            raise UserError(
                f"features of {self.video!r} "
                + ("are too large for float16: --dtype float32" if large else "are not finite: ")
                + ("" if large else "is the network broken, or was it fed damaged numbers?")
            )
        for row in stored:
            self._append("features", row.tobytes())

    def finish(
        self,
        moments: Sequence[int] | NDArray[np.integer],
        *,
        fps: float = 0.0,
        source: dict[str, object] | None = None,
    ) -> None:
        """Say at which frame each step stands; the video becomes visible when the block ends."""
        frames = np.asarray(moments, np.int32)
        steps = self._count["features"]
        if frames.shape != (steps,) or not steps:
            raise UserError(
                f"{self.video!r} has {steps} steps and moments of shape {frames.shape}; one step "
                "or more, and a moment for each, are needed"
            )
        self._append("moments", frames.tobytes())
        self._meta = FeatureMeta(self.video, steps, fps, dict(source or {}))

    def again(self, meta: FeatureMeta, items: Iterable[tuple[str, list[bytes]]]) -> None:
        """See `RecordWriter.again`."""
        for kind, coded in items:
            for item in coded:
                self._append(kind, item)
        self._meta = FeatureMeta(meta.video, meta.steps, meta.fps, meta.source)

    def _known(self) -> FeatureMeta:
        if self._meta is None:
            raise UserError(f"{self.video!r} was not finished: call finish(...) in the block")
        return self._meta


class FeatureStore(ShardedStore[FeatureMeta, FeatureWriter]):
    """Made by `open_features`."""

    form = Form(
        NAME,
        "a feature store",
        "features",
        SCHEMA,
        FeatureConfig.from_json,
        beside=(STATISTICS, ENCODER),
    )
    meta_type = FeatureMeta
    meta: FeatureConfig

    def _writer(self, video: str, part: Shard, token: bytes) -> FeatureWriter:
        return FeatureWriter(video, self.meta, part, token)

    def __repr__(self) -> str:
        name = self.meta.network.get("name", "features")
        return f"FeatureStore({str(self.folder)!r}, {name} at {self.meta.at}, {self.meta.shape})"

    @property
    def encoder(self) -> Path:
        """Where the encoder lies that made them, if one did."""
        return self.folder / ENCODER

    @property
    def statistics(self) -> Path:
        """Where mean and deviation lie."""
        return self.folder / STATISTICS

    def read(
        self, video: str, steps: Sequence[int] | NDArray[np.integer] | None = None
    ) -> Features:
        """The steps asked for, in that order, else all: (T, D) or (T, D, h, w)."""
        count = self.video(video).steps
        asked = range(count) if steps is None else [int(step) for step in steps]
        wrong = [step for step in asked if not 0 <= step < count]
        if wrong:
            raise UserError(f"{video!r} has {count} steps; {wrong[0]} was asked for")
        items = self._items(video, "features", asked)
        found = np.empty((len(items), *self.meta.shape), self.meta.dtype)
        for row, item in zip(found, items, strict=True):
            if len(item) != row.nbytes:
                raise self._damaged(video, StoreError(f"a step has {len(item)} bytes"))
            row[...] = np.frombuffer(item, row.dtype).reshape(row.shape)
        return found

    def moments(self, video: str) -> NDArray[np.int32]:
        """The frame at which each step stands: (T,)."""
        (item,) = self._items(video, "moments", [0])
        return np.frombuffer(item, np.int32).copy()


def open_features(
    path: str | Path, mode: str = "r", config: FeatureConfig | None = None
) -> FeatureStore:
    """Open the feature store in the directory `path`.

    r  read only; it must exist
    w  make it, as `config` says; it must not exist
    a  open for adding, and make it if `config` is given; a `config` must equal the store's own
    """
    return FeatureStore.open(path, mode, config)


def holds_features(path: str | Path) -> bool:
    """Whether a folder is a feature store, and not another one."""
    return (Path(path) / NAME).is_file()
