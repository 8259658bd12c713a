"""Tars of whole videos as pictures, which any decoder of webdataset reads: the files of one video
stand together under one key. Tars of clips at the store's own coding: `storage.shards`.

    KEY.cls               the label, where labels are given
    KEY.flow_x_00000.jpg  pair 0, x; flow_y_ likewise
    KEY.img_00000.jpg     frame 0
    KEY.json              what the store knows of the video, and how codes are meant

The same store and options give the same bytes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from storage import atomic
from storage.convert.export_flow import Advance, ExportResult
from storage.convert.export_pictures import Pictures, place_of, suffix
from storage.errors import UserError
from storage.store import Store

INDEX = "shards.json"


@dataclass(frozen=True)
class Shards:
    """How videos are dealt out to tars."""

    videos_each: int = 100
    frames: bool = True

    def __post_init__(self) -> None:
        if self.videos_each < 1:
            raise UserError(f"--videos-per-shard {self.videos_each} must be 1 or more")

    def export(
        self,
        store: Store,
        videos: Sequence[str],
        out: Path,
        pictures: Pictures,
        labels: Mapping[str, int] | None = None,
        advance: Advance = lambda: None,
    ) -> ExportResult:
        """Write the shards that are not there yet, and an index of all."""
        out.mkdir(parents=True, exist_ok=True)
        result = ExportResult()
        plan = {
            f"shard-{number:06d}.tar": list(videos[start : start + self.videos_each])
            for number, start in enumerate(range(0, len(videos), self.videos_each))
        }
        self._agree(out, {"pictures": asdict(pictures), "labels": labels, "shards": plan})
        for name, group in plan.items():
            if (out / name).exists():
                held = keys_in(out / name)
                for video in group:
                    advance()
                    if key_of(video) in held:
                        result.there.append(video)
                    else:  # it failed in the run that wrote the rest
                        result.failed[video] = f"is not in {name}; delete that to write it anew"
                continue
            done: list[str] = []
            with (
                atomic.replacing(out / name) as fresh,
                tarfile.open(fresh, "w", format=tarfile.PAX_FORMAT) as tar,
            ):
                for video in group:
                    advance()
                    try:
                        members = self._members(store, video, pictures, labels, out)
                    except UserError as error:
                        result.failed[video] = " ".join(str(error).split())
                        continue
                    for member, data in members:
                        info = tarfile.TarInfo(member)  # time, owner and mode are constant
                        info.size = len(data)
                        tar.addfile(info, io.BytesIO(data))
                    done.append(video)
            result.done += done
        return result

    def _members(
        self,
        store: Store,
        video: str,
        pictures: Pictures,
        labels: Mapping[str, int] | None,
        out: Path,
    ) -> list[tuple[str, bytes]]:
        place_of(out, video)  # an id that is no path is no key either
        key = key_of(video)
        meta = store.video(video)
        named = ("video", "pairs", "frames", "height", "width", "fps")
        content = {name: getattr(meta, name) for name in named}
        content |= {"step": store.meta.step, "quantizer": asdict(pictures.quantizer)}
        members: list[tuple[str, bytes]] = []
        if labels is not None and video in labels:
            content["label"] = labels[video]
            members.append((f"{key}.cls", str(labels[video]).encode()))
        for number, files in enumerate(pictures.flow(store, video)):
            for axis, file in zip("xy", files, strict=True):
                members.append((f"{key}.flow_{axis}_{number:05d}{suffix(file)}", file))
        if self.frames and store.meta.frame_codec != "none":
            for number, file in enumerate(pictures.frames(store, video)):
                members.append((f"{key}.img_{number:05d}{suffix(file)}", file))
        members.append((f"{key}.json", json.dumps(content, sort_keys=True).encode()))
        return members

    def _agree(self, out: Path, plan: dict[str, object]) -> None:
        """Write the index, or make sure that the one there is of the same export."""
        text = json.dumps(plan, indent=1, sort_keys=True) + "\n"
        path = out / INDEX
        if path.exists():
            if path.read_text(encoding="utf-8") != text:
                raise UserError(
                    f"{out} holds shards of other videos or options; give another folder"
                )
            return
        atomic.write_text(path, text)


def keys_in(path: Path) -> set[str]:
    """The keys of a tar that was written before."""
    try:
        with tarfile.open(path) as tar:
            return {name.partition(".")[0] for name in tar.getnames()}
    except tarfile.TarError as error:
        raise UserError(f"{path} cannot be read ({error}); delete it to write it anew") from None


def key_of(video: str) -> str:
    """A video's key. Readers cut a name at its first dot, so dots are written as %2E."""
    return video.replace("%", "%25").replace(".", "%2E")
