"""What a worker does, wherever it runs: probe headers, measure the engine, extract one video."""

from __future__ import annotations

import gc
import os
import socket
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice

import numpy as np

from flow.extraction.extract import Source, extract_video, pairs_of
from flow.extraction.plan import CHANGED, Task, changed, source_changed
from flow.extraction.quality import Quality
from flow.extraction.recipe import FlowMaker, Recipe
from flow.video import VideoError, probe
from storage.errors import StoreError, UserError
from storage.store import Store, open_store

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Outcome:
    """What became of a task; plain values, so that it travels between machines."""

    video: str
    status: str
    """stored, already (it was in the store by now), failed, or fatal (no video can be stored)."""
    frames: int = 0
    pairs: int = 0
    size: int = 0
    quality: Quality = field(default_factory=Quality)
    kind: str = ""
    reason: str = ""
    stuck: bool = False
    """A thread was left behind in the decoder; the process should be replaced."""


def workshop(store: str, recipe: Recipe) -> Workshop:
    """The workshop of this process for a store, kept from one video to the next."""
    try:
        status = os.stat(os.path.join(store, "store.json"))
    except OSError as error:
        raise UserError(
            f"the store {store} is not visible on {socket.gethostname()} ({error.strerror}); "
            "all machines need it, and the videos, under the same path"
        ) from None
    # A store that was removed and made anew under the same name is another one.
    return _workshop(store, recipe, (status.st_ino, status.st_mtime_ns))


@lru_cache(maxsize=1)
def _workshop(store: str, recipe: Recipe, identity: tuple[int, int]) -> Workshop:
    return Workshop(store, recipe)


def close_workshop() -> None:
    """Let go of the store, so that another process may add to the same shard."""
    _workshop.cache_clear()
    gc.collect()


class Workshop:
    """Holds what a process needs from one video to the next."""

    def __init__(self, store: str, recipe: Recipe) -> None:
        import cv2

        cv2.setNumThreads(1)  # every core has a worker of its own
        self.recipe = recipe
        self.store: Store = open_store(store, "a", recipe.config())
        self.maker = FlowMaker(recipe)
        self._turn = threading.Lock()  # a cluster may run several tasks in one process

    def __del__(self) -> None:
        if hasattr(self, "store"):
            self.store.close()

    def extract(
        self, task: Task, partial: bool = False, progress: Progress | None = None
    ) -> Outcome:
        """Extract one video; whatever is wrong with it is told, not raised."""
        with self._turn:
            try:
                return self._extract(task, partial, progress)
            except VideoError as error:
                stuck = error.kind == "stalled"
                return Outcome(
                    task.video, "failed", kind=error.kind, reason=str(error), stuck=stuck
                )
            except (StoreError, OSError) as error:
                if self._is_stored(task) and not task.redo:
                    return self._already(task)
                return Outcome(task.video, "fatal", kind="store", reason=one_line(error))
            except Exception as error:
                reason = f"error: {type(error).__name__}: {one_line(error)}"
                return Outcome(task.video, "failed", kind="error", reason=reason)

    def _is_stored(self, task: Task) -> bool:
        try:
            return task.video in self.store
        except (StoreError, OSError):
            return False

    def _already(self, task: Task) -> Outcome:
        """By another job, or by a worker that died before it could say so."""
        meta = self.store.video(task.video)
        change = changed(task.path, meta.source)
        if change:  # it was another file of that name
            return Outcome(task.video, "failed", kind=CHANGED, reason=source_changed(change))
        quality = Quality.from_json(meta.quality)
        return Outcome(task.video, "already", meta.frames, meta.pairs, meta.size, quality)

    def _extract(self, task: Task, partial: bool, progress: Progress | None) -> Outcome:
        if task.video in self.store and not task.redo:
            return self._already(task)
        if not os.path.exists(task.path):
            raise VideoError("cannot open", "No such file or directory")
        done = extract_video(
            task.path,
            task.video,
            self.store,
            self.recipe,
            tolerant=partial,
            name=task.name,
            progress=progress,
            maker=self.maker,
            replace=task.redo,
        )
        kind = done.faults[0].split(" at frame ")[0].split(":")[0] if done.faults else ""
        return Outcome(
            task.video, "stored", done.frames, done.pairs, done.size, done.quality,
            kind=kind, reason="; ".join(done.faults[:3]),
        )  # fmt: skip


def probe_frames(paths: Sequence[str]) -> list[int]:
    """The frames that each video's headers promise; 0 where they cannot be read."""
    found = []
    for path in paths:
        try:
            found.append(probe(path).frames)
        except VideoError:
            found.append(0)
    return found


def seconds_per_pair(tasks: Sequence[Task], recipe: Recipe) -> float:
    """Measured on a few pairs out of a few videos: the median; 0 when none can be read."""
    maker = FlowMaker(recipe)
    few = replace(recipe, frame_codec="none", fps=None)
    measured: list[float] = []
    for task in tasks:
        source = Source(task.path, few, tolerant=True)
        count = 32 if maker.makes_codes else 3
        try:
            frames = [picture.grey for picture in islice(source.pictures(), count + recipe.step)]
        except VideoError:
            continue
        if len(frames) <= recipe.step:
            continue
        grey = np.stack(frames)
        compute = maker.codes if maker.makes_codes else maker.flow
        if not measured:
            pairs_of(compute, grey[: recipe.step + 1], recipe.step)  # compiles
        began = time.perf_counter()
        pairs = pairs_of(compute, grey, recipe.step)
        measured.append((time.perf_counter() - began) / len(pairs) * len(recipe.fields))
    return statistics.median(measured) if measured else 0.0


def check_engine(recipe: Recipe) -> Recipe:
    """The recipe with its engine decided, so that a mistake is told before work begins."""
    return replace(recipe, engine=FlowMaker(recipe).engine)


def one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) or text else type(error).__name__
