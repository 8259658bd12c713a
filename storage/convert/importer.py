"""Take over flow and frames that another tool computed into a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from storage import atomic
from storage.codecs import join_files
from storage.convert.foreign_forms import ForeignPair
from storage.convert.foreign_survey import FoundVideo, Survey
from storage.convert.foreign_video import ForeignVideo
from storage.convert.import_plan import Plan
from storage.errors import StoreError, UserError
from storage.store import Store, VideoWriter, open_store

FAILURES = "import-failures.json"


@dataclass
class ImportResult:
    """What came of an import."""

    done: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    """Stored by an earlier run."""
    failed: dict[str, str] = field(default_factory=dict)
    """Video or archive, and what is wrong with it in one line."""
    pairs: int = 0
    frames: int = 0
    stopped: str = ""
    """Why not everything was tried, if so: a full disk, say."""


def import_flow(
    plan: Plan, out: Path, progress: Callable[[], object] = lambda: None, jobs: int = 1
) -> ImportResult:
    """Store every video of the plan that is not there yet. A faulty one does not stop the rest.

    `out`/import-failures.json lists what failed. The next run tries it again. `jobs` processes
    share the work, each with a shard of the store to itself.
    """
    if jobs < 1:
        raise UserError(f"--jobs {jobs} must be 1 or more")
    result = ImportResult(failed=dict(plan.survey.unreadable))
    result.failed |= dict.fromkeys(plan.survey.empty, "the folder is empty")
    for video in plan.survey.videos.values():
        if not video.steps:
            result.failed[video.video] = "has frames and no flow"
    store = open_store(out, "a", plan.config)
    try:
        waiting = []
        for video in plan.videos:
            if video.video in store:
                result.there.append(video.video)
                progress()
            else:
                waiting.append(video)
        for outcome in _each(store, waiting, replace(plan, survey=Survey(), videos=[]), jobs):
            progress()
            if outcome.fault:
                result.failed[outcome.video] = outcome.fault
                continue
            result.done.append(outcome.video)
            result.pairs += outcome.pairs
            result.frames += outcome.frames
    except StoreError as error:  # no other video would fare better
        result.stopped = str(error)
    finally:
        store.close()
    try:
        _write_failures(out / FAILURES, result.failed)
    except OSError as error:
        result.stopped = result.stopped or f"{out / FAILURES} cannot be written: {error.strerror}"
    result.done.sort()
    return result


class Outcome(NamedTuple):
    """What became of one video."""

    video: str
    pairs: int = 0
    frames: int = 0
    fault: str = ""


def _each(store: Store, videos: list[FoundVideo], plan: Plan, jobs: int) -> Iterator[Outcome]:
    if jobs == 1 or len(videos) < 2:
        yield from (_import_one(store, video, plan) for video in videos)
        return
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
    yield from parallel(delayed(_import_one)(store, video, plan) for video in videos)


def _import_one(store: Store, video: FoundVideo, plan: Plan) -> Outcome:
    """Store one video. A fault of it is returned, a fault of the store is raised."""
    try:
        with closing(ForeignVideo(video, plan.reading)) as source:
            _store_video(store, source, video, plan)
            return Outcome(video.video, source.pairs, source.frames)
    except StoreError:
        raise  # the store itself: a full disk, no rights
    except (UserError, OSError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return Outcome(video.video, fault=reason)


def _store_video(store: Store, source: ForeignVideo, video: FoundVideo, plan: Plan) -> None:
    if plan.reading.images != "none" and not source.frames:
        raise UserError("has flow and no frames, unlike the rest; --images none takes flow alone")
    counts = np.zeros(256, np.int64)
    with store.write(source.video) as writer:
        for pair in source.flow():
            _put(writer, pair, "forward")
            counts += np.bincount(pair.codes.ravel(), minlength=256)
        if plan.reading.backward:
            for pair in source.flow(backward=True):
                _put(writer, pair, "backward")
        for picture in source.pictures():
            height, width = picture.rgb.shape[:2]
            if writer.config.frame_codec == "files":
                writer.encoded("frames", picture.file, height, width)
            else:
                writer.frame(picture.rgb)
        quantizer = plan.config.quantizer
        ends = counts[[0, 255]] if quantizer.rule != "companded" else counts[[1, 255]]
        total = max(int(counts.sum()), 1)
        writer.finish(
            fps=plan.rates.get(video.video, plan.fps),
            engine=f"imported: {video.layout}",
            source={"imported": video.layout, "name": video.video, "images": plan.reading.images},
            quality={
                "clipped_share": float(ends.sum() / total),
                "zero_share": float(counts[quantizer.zero] / total),
            },
        )


def _put(writer: VideoWriter, pair: ForeignPair, name: str) -> None:
    if writer.config.codec == "files" and pair.files is not None:
        height, width = pair.codes.shape[1:]
        writer.encoded(name, join_files(*pair.files), height, width)
    else:
        writer.flow(pair.codes[None], name)


def _write_failures(path: Path, failed: dict[str, str]) -> None:
    if not path.parent.is_dir():
        return
    if not failed:
        path.unlink(missing_ok=True)
        return
    listing: list[dict[str, Any]] = [
        {"video": video, "reason": reason} for video, reason in sorted(failed.items())
    ]
    atomic.write_text(path, json.dumps(listing, indent=2) + "\n")
