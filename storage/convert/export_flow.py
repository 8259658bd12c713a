"""Write a store in another tool's layout: raw frames, arrays or tar shards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from storage.convert.export_pictures import AT_ONCE, Pictures, place_of, suffix
from storage.errors import StoreError, UserError
from storage.store import Store

Advance = Callable[[], object]


@dataclass
class Exported:
    """What came of an export."""

    done: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    """Written by an earlier run."""
    failed: dict[str, str] = field(default_factory=dict)


def each_video(
    store: Store,
    videos: Sequence[str],
    out: Path,
    target: Callable[[str], Path],
    write: Callable[[str, Path], None],
    advance: Advance,
) -> Exported:
    """Write every video beside its place and move it there when whole, so what is there is whole.

    A video that cannot be written is listed, and the rest goes on.
    """
    result = Exported()
    out.mkdir(parents=True, exist_ok=True)
    for video in videos:
        advance()
        fresh: Path | None = None
        try:
            place = target(video)
            if place.exists():
                result.there.append(video)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh = place.with_name(f".{place.name}.{os.getpid()}")
            write(video, fresh)
            os.replace(fresh, place)
            result.done.append(video)
        except (StoreError, UserError) as error:
            result.failed[video] = " ".join(str(error).split())
        finally:
            if fresh is not None and fresh.is_dir():
                shutil.rmtree(fresh)
            elif fresh is not None:
                fresh.unlink(missing_ok=True)
    return result


@dataclass(frozen=True)
class RawFrames:
    """A folder of pictures a video: denseflow counts from 0, mmaction2 and TSN from 1."""

    base: int = 1
    frames: bool = True

    def export(
        self,
        store: Store,
        videos: Sequence[str],
        out: Path,
        pictures: Pictures,
        advance: Advance = lambda: None,
    ) -> Exported:
        step = store.meta.step
        marks = {
            "forward": (f"_p{step}" if step > 1 else "", 0),
            "backward": (f"_m{step}", step),  # denseflow numbers it by the pair's later frame
        }
        fields = [name for name in store.meta.fields if name in marks]

        def write(video: str, folder: Path) -> None:
            folder.mkdir()
            for name in fields:
                mark, shift = marks[name]
                for number, files in enumerate(pictures.flow(store, video, name), self.base):
                    for axis, file in zip("xy", files, strict=True):
                        named = f"flow_{axis}{mark}_{number + shift:05d}{suffix(file)}"
                        (folder / named).write_bytes(file)
            if self.frames and store.meta.frame_codec != "none":
                for number, file in enumerate(pictures.frames(store, video), self.base):
                    (folder / f"img_{number:05d}{suffix(file)}").write_bytes(file)

        return each_video(store, videos, out, lambda v: place_of(out, v), write, advance)


@dataclass(frozen=True)
class Arrays:
    """`VIDEO_flow.npy`, float32 (T, H, W, 2) in [-1, 1], as I3D takes it; and `VIDEO_rgb.npy`.

    I3D's authors cut flow at 20 px and divide by 20; their frames are divided by 127.5, less 1.
    """

    bound: float = 20.0
    frames: bool = False

    def export(
        self, store: Store, videos: Sequence[str], out: Path, advance: Advance = lambda: None
    ) -> Exported:
        unit = np.clip(store.meta.quantizer.table / np.float32(self.bound), -1, 1)

        def write_flow(video: str, path: Path) -> None:
            meta = store.video(video)
            shape = (meta.pairs, meta.height, meta.width, 2)
            array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
            for start in range(0, meta.pairs, AT_ONCE):
                length = min(AT_ONCE, meta.pairs - start)
                codes = store.read_flow(video, start, length)
                array[start : start + length] = unit[codes].transpose(0, 2, 3, 1)
            array.flush()

        def write_frames(video: str, path: Path) -> None:
            meta = store.video(video)
            shape = (meta.frames, meta.height, meta.width, 3)
            array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
            for start in range(0, meta.frames, AT_ONCE):
                length = min(AT_ONCE, meta.frames - start)
                rgb = store.read_frames(video, range(start, start + length))
                array[start : start + length] = rgb / np.float32(127.5) - 1
            array.flush()

        def target(ending: str) -> Callable[[str], Path]:
            return lambda video: place_of(out, video + ending)

        result = each_video(store, videos, out, target("_flow.npy"), write_flow, advance)
        if self.frames:
            also = each_video(store, videos, out, target("_rgb.npy"), write_frames, lambda: None)
            result.failed |= also.failed
        return result
