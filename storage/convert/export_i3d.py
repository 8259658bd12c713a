"""Pictures under the names that pytorch-i3d's Charades reader opens.

    flow/VIDEO/VIDEO-000001x.jpg, VIDEO-000001y.jpg    pair 0
    rgb/VIDEO/VIDEO-000001.jpg                         frame 0

It takes flow and frames from two folders, since it counts a video's pairs as half of the files
beside them. It makes [-1, 1] of the codes, so they should be `round` at bound 20. Where an id has
folders, `c/d` is `c/d/d-000001x.jpg`, and the reader's root is the folder `c`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.convert.export_flow import Advance, ExportResult, each_video
from storage.convert.export_pictures import Pictures, place_of, suffix
from storage.store import Store

FLOW_FOLDER, FRAMES_FOLDER = "flow", "rgb"


@dataclass(frozen=True)
class I3DPictures:
    """Numbers of six digits, from 1."""

    frames: bool = True

    def export(
        self,
        store: Store,
        videos: Sequence[str],
        out: Path,
        pictures: Pictures,
        advance: Advance = lambda: None,
    ) -> ExportResult:
        def write_flow(video: str, folder: Path) -> None:
            folder.mkdir()
            for number, files in enumerate(pictures.flow(store, video), 1):
                for axis, file in zip("xy", files, strict=True):
                    name = f"{last_name(video)}-{number:06d}{axis}{suffix(file)}"
                    (folder / name).write_bytes(file)

        def write_frames(video: str, folder: Path) -> None:
            folder.mkdir()
            for number, file in enumerate(pictures.frames(store, video), 1):
                (folder / f"{last_name(video)}-{number:06d}{suffix(file)}").write_bytes(file)

        def below(folder: str, video: str) -> Path:
            return place_of(out / folder, video)

        if self.frames and store.meta.frame_codec != "none":
            frames = each_video(
                videos,
                out / FRAMES_FOLDER,
                lambda video: below(FRAMES_FOLDER, video),
                write_frames,
                lambda: None,
            )
        else:
            frames = ExportResult()
        flow = each_video(
            videos,
            out / FLOW_FOLDER,
            lambda video: below(FLOW_FOLDER, video),
            write_flow,
            advance,
        )
        flow.failed |= frames.failed
        flow.done = [video for video in flow.done if video not in flow.failed]
        flow.there = [video for video in flow.there if video not in flow.failed]
        return flow


def last_name(video: str) -> str:
    """The part of an id that its files repeat."""
    return video.rpartition("/")[2]
