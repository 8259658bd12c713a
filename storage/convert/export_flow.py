"""Write a store in another tool's layout: raw frames, arrays or tar shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage import atomic
from storage.convert.export_pictures import AT_ONCE, Pictures, place_of, suffix
from storage.errors import UserError
from storage.store import Store

Advance = Callable[[], object]
Part = Callable[[str, int, int], NDArray[np.float32]]
"""(video, start, stop) -> (stop - start, H, W, C)."""


@dataclass
class ExportResult:
    """What came of an export."""

    done: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    """Written by an earlier run."""
    failed: dict[str, str] = field(default_factory=dict)


def each_video(
    videos: Sequence[str],
    out: Path,
    target: Callable[[str], Path],
    write: Callable[[str, Path], None],
    advance: Advance,
) -> ExportResult:
    """Write every video beside its place and move it there when whole, so what is there is whole.

    A video that cannot be written is listed, and the rest goes on.
    """
    result = ExportResult()
    out.mkdir(parents=True, exist_ok=True)
    for video in videos:
        advance()
        try:
            place = target(video)
            if place.exists():
                result.there.append(video)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with atomic.replacing(place) as fresh:
                write(video, fresh)
            result.done.append(video)
        except UserError as error:
            result.failed[video] = " ".join(str(error).split())
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
    ) -> ExportResult:
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

        return each_video(videos, out, lambda v: place_of(out, v), write, advance)


@dataclass(frozen=True)
class Arrays:
    """`VIDEO_flow.npy`, float32 (T, H, W, 2) in [-1, 1], as I3D takes it. And `VIDEO_rgb.npy`.

    I3D's authors cut flow at 20 px and divide by 20. Their frames are divided by 127.5, less 1.
    """

    bound: float = 20.0
    frames: bool = False

    def export(
        self, store: Store, videos: Sequence[str], out: Path, advance: Advance = lambda: None
    ) -> ExportResult:
        unit = np.clip(store.meta.quantizer.table / np.float32(self.bound), -1, 1)

        def flow(video: str, start: int, stop: int) -> NDArray[np.float32]:
            return unit[store.read_flow(video, start, stop - start)].transpose(0, 2, 3, 1)

        def frames(video: str, start: int, stop: int) -> NDArray[np.float32]:
            rgb = store.read_frames(video, range(start, stop))
            return np.asarray(rgb / np.float32(127.5) - 1, np.float32)

        def write(
            ending: str, count: str, channels: int, read: Part, advance: Advance
        ) -> ExportResult:
            def write_one(video: str, path: Path) -> None:
                meta = store.video(video)
                shape = (getattr(meta, count), meta.height, meta.width, channels)
                array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
                for start in range(0, shape[0], AT_ONCE):
                    stop = min(start + AT_ONCE, shape[0])
                    array[start:stop] = read(video, start, stop)
                array.flush()

            return each_video(videos, out, lambda v: place_of(out, v + ending), write_one, advance)

        result = write("_flow.npy", "pairs", 2, flow, advance)
        if self.frames:
            result.failed |= write("_rgb.npy", "frames", 3, frames, lambda: None).failed
        return result
