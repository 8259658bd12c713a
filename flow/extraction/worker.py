"""What a worker does, wherever it runs: extract one video."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

from flow.extraction.extract import extract_video
from flow.extraction.maker import FlowMaker
from flow.extraction.plan import CHANGED, Task, change_of, change_reason
from flow.extraction.quality import Quality
from flow.extraction.recipe import Recipe
from flow.tvl1 import EngineFault
from flow.video import VideoError
from storage.errors import StoreError, UserError
from storage.store import open_store

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Outcome:
    """The result of a task; plain values, so that it travels between machines."""

    video: str
    status: str
    """stored, already (it was in the store by now), failed, engine (which failed, not the video),
    or fatal (no video can be stored)."""
    frames: int = 0
    pairs: int = 0
    size: int = 0
    quality: Quality = field(default_factory=Quality)
    kind: str = ""
    """That of a `Failure`, where the video is to blame."""
    reason: str = ""
    stuck: bool = False
    """A thread hangs in the decoder, or the engine failed in this process: replace it."""


def extract_task(
    task: Task, store: str, recipe: Recipe, tolerant: bool, progress: Progress | None = None
) -> Outcome:
    """Extract one video in this process; the outcome says what is wrong, and nothing is raised."""
    try:
        status = os.stat(os.path.join(store, "store.json"))
    except OSError as error:
        return _fatal(
            task,
            f"the store {store} is not visible on {socket.gethostname()} ({error.strerror}); "
            "all machines need it, and the videos, under the same path",
        )
    try:
        # A store that was removed and created again under the same name is another one.
        worker = open_worker(store, recipe, (status.st_ino, status.st_mtime_ns))
    except EngineFault as error:
        return Outcome(task.video, "engine", reason=one_line(error))
    except (UserError, OSError) as error:
        return _fatal(task, one_line(error))
    try:
        with worker.lock:
            return worker.extract(task, tolerant, progress)
    except VideoError as error:
        stuck = error.kind == "stalled"
        return Outcome(task.video, "failed", kind=error.kind, reason=str(error), stuck=stuck)
    except EngineFault as error:
        # A process that owns the engine is replaced by itself; else the engine was in this one.
        here = worker.maker.remote is None
        return Outcome(task.video, "engine", reason=one_line(error), stuck=here)
    except (StoreError, OSError) as error:
        return _fatal(task, one_line(error))
    except Exception as error:
        reason = f"error: {type(error).__name__}: {one_line(error)}"
        return Outcome(task.video, "failed", kind="error", reason=reason)


def _fatal(task: Task, reason: str) -> Outcome:
    return Outcome(task.video, "fatal", reason=reason)


class Worker:
    """What a process keeps from one video to the next: the open store, and the engine."""

    def __init__(self, store: str, recipe: Recipe, identity: tuple[int, int]) -> None:
        """`identity` of the store's folder: another one is another worker."""
        import cv2

        cv2.setNumThreads(1)  # every core has a worker of its own
        self.recipe = recipe
        self.store = open_store(store, "a", recipe.config())
        self.maker = FlowMaker(recipe)
        self.lock = threading.Lock()  # a cluster may run several tasks in one process

    def __del__(self) -> None:
        if hasattr(self, "store"):
            self.store.close()

    def extract(self, task: Task, tolerant: bool, progress: Progress | None) -> Outcome:
        """Extract one video, or say that it is stored already."""
        if task.video in self.store and not task.redo:
            return self._stored_outcome(task)
        if not os.path.exists(task.path):
            raise VideoError("cannot open", "No such file or directory")
        try:
            done = extract_video(
                task.path,
                task.video,
                self.store,
                self.recipe,
                tolerant=tolerant,
                name=task.name,
                progress=progress,
                maker=self.maker,
                replace=task.redo,
            )
        except (StoreError, OSError):
            # Another job may have stored it meanwhile.
            if task.redo or not self._is_stored(task):
                raise
            return self._stored_outcome(task)
        return Outcome(
            task.video,
            "stored",
            done.frames,
            done.pairs,
            done.size,
            done.quality,
            kind=done.faults[0].kind if done.faults else "",
            reason="; ".join(map(str, done.faults[:3])),
        )

    def _is_stored(self, task: Task) -> bool:
        with suppress(StoreError, OSError):
            return task.video in self.store
        return False

    def _stored_outcome(self, task: Task) -> Outcome:
        """The outcome of a task whose video is in the store by now."""
        meta = self.store.video(task.video)
        change = change_of(task.path, meta.source)
        if change:  # it was another file of that name
            return Outcome(task.video, "failed", kind=CHANGED, reason=change_reason(change))
        quality = Quality.from_json(meta.quality)
        return Outcome(task.video, "already", meta.frames, meta.pairs, meta.size, quality)


open_worker = lru_cache(maxsize=1)(Worker)
"""The worker of this process for a store, kept from one video to the next."""


def close_worker() -> None:
    """Let go of the store, so that another process may add to the same shard."""
    open_worker.cache_clear()
    gc.collect()


def one_line(error: BaseException) -> str:
    """The text of an error on one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
