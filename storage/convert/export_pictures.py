"""A stored video as picture files in another tool's convention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from storage.codecs import Quantizer, encode_jpeg, encode_png, quality_of, split_files
from storage.errors import UserError
from storage.store import Store, StoreConfig

AT_ONCE = 16
PICTURE_KINDS: dict[str, Callable[[NDArray[np.uint8]], bytes]] = {
    "auto": partial(encode_jpeg, quality=95),
    "png": encode_png,
}
"""Beside `jpeg:QUALITY`."""
LINEAR = ("round", "truncate", "centred")


@dataclass(frozen=True)
class Pictures:
    """How codes and frames become files."""

    quantizer: Quantizer
    """The convention of the codes that are written."""
    kind: str = "auto"
    """`auto` keeps a stored file as it is and makes JPEGs of the rest. `jpeg:QUALITY`. `png`."""

    def __post_init__(self) -> None:
        _ = self._encode

    @cached_property
    def _encode(self) -> Callable[[NDArray[np.uint8]], bytes]:
        if self.kind in PICTURE_KINDS:
            return PICTURE_KINDS[self.kind]
        name, _, quality = self.kind.partition(":")
        try:
            return partial(encode_jpeg, quality=quality_of(quality if name == "jpeg" else ""))
        except ValueError:
            raise UserError(
                f"pictures {self.kind!r} are not known; choose auto, png or jpeg:95"
            ) from None

    def flow(self, store: Store, video: str, field: str = "forward") -> Iterator[tuple[bytes, ...]]:
        """(x's file, y's file) for every pair."""
        pairs = store.video(video).pairs
        same = self.quantizer == store.meta.quantizer
        # from one convention's codes to the other's
        change = self.quantizer.quantize(store.meta.quantizer.table)
        for start in range(0, pairs, AT_ONCE):
            length = min(AT_ONCE, pairs - start)
            if self.kind == "auto" and same and store.meta.codec == "files":
                for item in store.read_encoded(video, field, start, length):
                    yield split_files(item)
                continue
            codes = store.read_flow(video, start, length, field)
            for pair in codes if same else change[codes]:
                yield tuple(self._encode(plane) for plane in pair)

    def frames(self, store: Store, video: str) -> Iterator[bytes]:
        """One file a frame."""
        frames = store.video(video).frames
        kept = store.meta.frame_codec.split(":")[0] in ("files", "jpeg")
        for start in range(0, frames, AT_ONCE):
            length = min(AT_ONCE, frames - start)
            if self.kind == "auto" and kept:
                yield from store.read_encoded(video, "frames", start, length)
                continue
            for rgb in store.read_frames(video, range(start, start + length)):
                yield self._encode(rgb)


def other_tools_quantizer(
    stored: StoreConfig, rule: str | None = None, bound: float | None = None
) -> Quantizer:
    """The store's own convention where other tools can read it, else `round`."""
    own = stored.quantizer
    default = own.rule if own.rule in LINEAR else "round"
    return Quantizer(rule or default, own.bound if bound is None else bound)


def suffix(file: bytes) -> str:
    """`.png` or `.jpg`, by the file's first bytes."""
    return ".png" if file[:4] == b"\x89PNG" else ".jpg"


def place_of(out: Path, video: str) -> Path:
    """Where under `out` a video goes. An id that leads elsewhere is refused."""
    parts = PurePosixPath(video).parts
    plain = "/".join(parts) == video  # else two ids could mean one folder: a/b and a//b
    if not plain or video.startswith("/") or ".." in parts or any("\\" in p for p in parts):
        raise UserError(f"{video!r} cannot be a folder under {out}")
    if any(len(part.encode("utf-8", "surrogatepass")) > 240 for part in parts):
        raise UserError(f"{video!r} has a name of over 240 bytes, which no file may have")
    return out.joinpath(*parts)
