"""Frames beside their flow in the colours of the Middlebury wheel: a film, or a strip of stills."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from flow.extraction import PATIENCE, FlowMaker, Recipe, Source, chunks, too_short
from storage.codecs import flow_to_rgb
from storage.errors import UserError
from storage.store import Store

Rgb = NDArray[np.uint8]
WHITE, INK = 255, (40, 40, 40)
GAP = 6
TILE = 320
"""Widest picture of a strip."""
SAMPLED = 24
"""Pairs, evenly spaced, that the scale of the colours is taken from."""


class Preview(Protocol):
    """What a preview is made of."""

    title: str
    pairs: int
    fps: float

    def pair(self, index: int) -> tuple[Rgb | None, NDArray[np.float32]]:
        """Frame (H, W, 3), where there is one, and flow (2, H, W) in pixels."""


class StoredVideo:
    """A video of a store."""

    def __init__(self, store: Store, video: str, field: str) -> None:
        meta = store.video(video)
        self.title, self.pairs, self.fps = f"{video}, {field} flow", meta.pairs, meta.fps
        self._store, self._video, self._field = store, video, field
        self._frames = meta.frames > 0

    def pair(self, index: int) -> tuple[Rgb | None, NDArray[np.float32]]:
        codes = self._store.read_flow(self._video, index, 1, self._field)[0]
        rgb = self._store.read_frames(self._video, [index])[0] if self._frames else None
        return rgb, self._store.meta.quantizer.dequantize(codes)


class DecodedVideo:
    """The beginning of a video file, with its flow computed here."""

    def __init__(self, path: str, recipe: Recipe, limit: int) -> None:
        source = Source(path, recipe, tolerant=True)
        self._quantizer = recipe.quantizer
        self._frames: list[Rgb] = []
        self._codes: list[NDArray[np.uint8]] = []
        field = recipe.fields[0]
        for chunk in chunks(source, FlowMaker(recipe), PATIENCE):
            self._frames += chunk.rgb
            for flow in chunk.flows.get(field, ()):
                coded = flow.dtype == np.uint8
                self._codes.append(flow if coded else recipe.quantizer.quantize(flow))
            if len(self._codes) >= limit:
                break
        if not self._codes:
            raise too_short(source)
        self.pairs = min(len(self._codes), limit)
        self.fps = source.fps
        self.title = f"{Path(path).name}, {field} flow ({recipe.flow.name})"

    def pair(self, index: int) -> tuple[Rgb | None, NDArray[np.float32]]:
        return self._frames[index], self._quantizer.dequantize(self._codes[index])


def full_speed(preview: Preview) -> float:
    """The motion that gets the full colour: all but the fastest 1 % stay below it; at least 1."""
    indices = np.unique(np.linspace(0, preview.pairs - 1, SAMPLED).round().astype(int))
    speeds = [np.hypot(*preview.pair(int(i))[1])[::4, ::4].ravel() for i in indices]
    return max(1.0, float(np.percentile(np.concatenate(speeds), 99)))


def write_film(preview: Preview, path: Path, full: float, limit: int) -> int:
    """An mp4 (or what the ending says) with the frame left and its flow right; its length."""
    count = min(preview.pairs, limit)
    pictures = (film_picture(*preview.pair(i), full) for i in range(count))
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    try:
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(
                codec, rate=Fraction(min(max(preview.fps, 1), 120)).limit_denominator(1001)
            )
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": "18"} if codec == "libx264" else {"qscale": "3"}
            for i, picture in enumerate(pictures):
                if i == 0:
                    stream.height, stream.width = picture.shape[:2]
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except (av.error.FFmpegError, OSError) as error:
        why = error.strerror or str(error)
        raise UserError(f"{path} cannot be written: {why}; give another --out") from None
    return count


def film_picture(rgb: Rgb | None, flow: NDArray[np.float32], full: float) -> Rgb:
    """One picture of a film; its sides are even, as video codecs want them."""
    coloured = with_legend(flow_to_rgb(flow, full), full)
    if rgb is not None:
        gap = np.full((coloured.shape[0], GAP, 3), WHITE, np.uint8)
        coloured = np.concatenate([rgb, gap, coloured], axis=1)
    height, width = coloured.shape[:2]
    spare = ((0, height % 2), (0, width % 2), (0, 0))
    return np.pad(coloured, spare, constant_values=WHITE)


def write_strip(preview: Preview, path: Path, full: float, columns: int) -> int:
    """A PNG: frames in a row, their flow below them; returns how many."""
    indices = np.unique(np.linspace(0, preview.pairs - 1, columns).round().astype(int))
    tiles = [strip_tile(preview, int(i), full) for i in indices]
    height = tiles[0].shape[0]
    gap = np.full((height, GAP, 3), WHITE, np.uint8)
    row = np.concatenate([part for tile in tiles for part in (gap, tile)] + [gap], axis=1)
    header = np.full((34, row.shape[1], 3), WHITE, np.uint8)
    text = f"{preview.title}; full colour is {full:.1f} px"
    write_text(header, text, (GAP, 23), 0.5, row.shape[1] - 2 * GAP - 40)
    picture = np.concatenate([header, row, np.full((GAP, row.shape[1], 3), WHITE, np.uint8)])
    if not cv2.imwrite(str(path), picture[..., ::-1]):
        raise UserError(f"{path} cannot be written; give another --out")
    return len(tiles)


def strip_tile(preview: Preview, index: int, full: float) -> Rgb:
    """Frame above flow above the frame's number."""
    rgb, flow = preview.pair(index)
    pictures = [] if rgb is None else [rgb]
    pictures.append(flow_to_rgb(flow, full))
    scale = min(1.0, TILE / flow.shape[2])
    size = (max(1, round(flow.shape[2] * scale)), max(1, round(flow.shape[1] * scale)))
    if scale < 1:
        pictures = [
            np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA), np.uint8)
            for p in pictures
        ]
    pictures[-1] = with_legend(pictures[-1], full, words=False)
    gap = np.full((GAP, size[0], 3), WHITE, np.uint8)
    label = np.full((18, size[0], 3), WHITE, np.uint8)
    write_text(label, f"frame {index}", (0, 13), 0.4, size[0])
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate([*parts, label])


def with_legend(picture: Rgb, full: float, words: bool = True) -> Rgb:
    """The picture with the colour wheel in its lower right corner."""
    side = max(17, min(picture.shape[:2]) // 5) | 1
    if side + 4 > min(picture.shape[:2]):
        return picture
    disc, inside = wheel_disc(side)
    marked = picture.copy()
    corner = marked[-side - 4 : -4, -side - 4 : -4]
    corner[inside] = disc[inside]
    if words:
        place = (picture.shape[1] - side - 4, picture.shape[0] - side - 9)
        write_text(marked, f"{full:.1f} px", place, side / 130, side + 4)
    return marked


def wheel_disc(side: int) -> tuple[Rgb, NDArray[np.bool_]]:
    """The key to the colours, (side, side, 3), and which of its pixels belong to it."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    radius = np.hypot(x, y)
    disc = flow_to_rgb(np.stack([x, y]), 1.0)
    disc[(radius > 1 - 3 / side) & (radius <= 1)] = INK
    return disc, radius <= 1


def write_text(picture: Rgb, text: str, place: tuple[int, int], scale: float, width: int) -> None:
    """Dark letters, made smaller until they fit into `width` pixels."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    plain = text.encode("ascii", "replace").decode()  # the font knows no others
    wide = cv2.getTextSize(plain, font, scale, 1)[0][0]
    fitting = scale * min(1.0, width / max(wide, 1))
    cv2.putText(picture, plain, place, font, fitting, INK, 1, cv2.LINE_AA)


def similar_ids(store: Store, video: str) -> Iterator[str]:
    """Ids in the store that look like what was asked for, for an error that helps."""
    return (name for name in store.videos() if video.lower() in name.lower())
