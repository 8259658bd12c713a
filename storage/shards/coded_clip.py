"""A clip on its way out of a store, and read again: its members, and what reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.codecs import Codec, flow_codec, frame_codec
from storage.errors import StoreError, UserError
from storage.shards.deal import ClipSpan
from storage.shards.packing import CodedItems, pack_items
from storage.store import Store, StoreConfig, VideoMeta

FRAMES, ABOUT = "frames", "json"


def clip_members(
    store: Store, span: ClipSpan, *, number: int, label: int | None, frames: bool
) -> dict[str, bytes]:
    """Member -> bytes of one clip: `forward` and the store's other fields, `frames`, `json`.

    The items of flow and frames are those of the store, byte for byte. `json` says what the video
    is, which of its pairs these are, how codes are meant, and the clip's `number` in the export.
    """
    about = store.video(span.video)
    pairs = range(span.first, span.stop)
    kinds = dict.fromkeys(store.meta.fields, pairs)
    if frames and store.meta.frame_codec != "none":
        kinds[FRAMES] = span.frames(about)
    members = {
        kind: pack_items(store.read_encoded(span.video, kind, indices.start, len(indices)))
        for kind, indices in kinds.items()
    }
    meta = store.meta
    content: dict[str, Any] = {
        "video": span.video,
        "first": span.first,
        "pairs": len(pairs),
        "frames": len(kinds.get(FRAMES, ())),
        "number": number,
        "about": about.to_json(),
        "quantizer": asdict(meta.quantizer),
        "codec": meta.codec,
        "frame_codec": meta.frame_codec,
        "step": meta.step,
    }
    if label is not None:
        content["label"] = label
    members[ABOUT] = json.dumps(content, sort_keys=True).encode()
    return members


class CodedClip:
    """The clip of a sample, read as a store is read that holds it as a video of its own.

    Pairs and frames count from 0. Only what is asked for is decoded.
    """

    def __init__(self, config: StoreConfig, members: Mapping[str, bytes]) -> None:
        try:
            self.content: dict[str, Any] = json.loads(members[ABOUT])
            whole = VideoMeta.from_json(self.content["about"])
            self.first, self.number = int(self.content["first"]), int(self.content["number"])
            pairs, frames = int(self.content["pairs"]), int(self.content["frames"])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"a sample does not say what it is ({error!r})") from None
        self.meta = config
        self.about = replace(whole, pairs=pairs, frames=frames)
        self._items = {
            kind: CodedItems(members[kind]) for kind in (*config.fields, FRAMES) if kind in members
        }
        expected = dict.fromkeys(config.fields, pairs)
        if frames:
            expected[FRAMES] = frames
        if expected != {kind: len(items) for kind, items in self._items.items() if len(items)}:
            raise StoreError(f"the sample of {whole.video!r} from pair {self.first} lacks items")

    def video(self, video: str) -> VideoMeta:
        """What is known of the clip, as a video of its length."""
        if video != self.about.video:
            raise UserError(f"{video!r} is not {self.about.video!r}, the only video here")
        return self.about

    def read_flow(
        self, video: str, start: int, length: int, field: str = "forward"
    ) -> NDArray[np.uint8]:
        """Pairs `start` to `start + length` of the clip: uint8 (length, 2, H, W)."""
        if field not in self._items:
            raise UserError(f"there is {', '.join(self.meta.fields)} flow here, not {field!r}")
        out = np.empty((length, 2, self.about.height, self.about.width), np.uint8)
        codec = flow_codec(self.meta.codec, self.meta.quantizer)
        self._decode(codec, field, range(start, start + length), out)
        return out

    def read_frames(self, video: str, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Frames of the clip by number: uint8 (N, H, W, 3), RGB."""
        codec = frame_codec(self.meta.frame_codec)
        if FRAMES not in self._items or codec is None:
            raise UserError("these shards were written without frames")
        out = np.empty((len(indices), self.about.height, self.about.width, 3), np.uint8)
        self._decode(codec, FRAMES, indices, out)
        return out

    def _decode(
        self, codec: Codec, kind: str, indices: Sequence[int], out: NDArray[np.uint8]
    ) -> None:
        items = self._items[kind]
        for item, index in zip(out, indices, strict=True):
            if not 0 <= index < len(items):
                raise UserError(f"{kind} {index} of {self.about.video!r} is not in this clip")
            codec.decode(items[index], item)
