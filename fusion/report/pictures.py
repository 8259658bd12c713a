"""Example videos as pictures: frames above, their flow in the colours of the wheel below."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from storage.codecs import encode_jpeg, flow_to_rgb
from storage.errors import UserError

if TYPE_CHECKING:
    from storage.store import Store

MOMENTS = 3
HEIGHT = 120
"""Pixels of one picture's height in a strip."""


@dataclass(frozen=True)
class Strip:
    """Moments of one video side by side."""

    uri: str
    """A JPEG as a data: address."""
    alt: str
    """The picture in words."""
    fastest: float | None
    """Pixels a step that have the wheel's full colour; None without flow."""


def strip(store: Store, video: str) -> Strip:
    """Evenly spaced moments of a video; an error says why there is nothing to see."""
    if video not in store:
        raise UserError(f"{video} is not in the store")
    meta = store.video(video)
    rows: list[NDArray[np.uint8]] = []
    contents = []
    fastest = None
    if meta.frames:
        at = moments(min(meta.frames, meta.pairs or meta.frames))
        rows.append(_side_by_side(store.read_frames(video, at)))
        contents.append("frames")
    if meta.pairs:
        field = "forward" if "forward" in store.meta.fields else store.meta.fields[0]
        codes = [store.read_flow(video, i, 1, field)[0] for i in moments(meta.pairs)]
        flow = store.meta.quantizer.dequantize(np.stack(codes))
        # The fastest hundredth is often noise, and would leave the rest pale.
        fastest = max(float(np.quantile(np.hypot(flow[:, 0], flow[:, 1]), 0.99)), 0.5)
        rows.append(_side_by_side(flow_to_rgb(flow, fastest)))
        contents.append("optical flow")
    if not rows:
        raise UserError(f"the store holds neither frames nor flow of {video}")
    width = min(row.shape[1] for row in rows)
    picture = np.concatenate([row[:, :width] for row in rows])
    alt = f"{' and '.join(contents)} at {MOMENTS} moments"
    return Strip(_jpeg(picture), alt, fastest)


def wheel_picture(size: int = 96) -> str:
    """The wheel itself, as a data: address: which colour is which direction."""
    at = np.linspace(-1, 1, size)
    flow = np.stack(np.broadcast_arrays(at[None, :], at[:, None]))
    rgb = flow_to_rgb(flow, 1.0)
    rgb[np.hypot(flow[0], flow[1]) > 1] = 255
    return _jpeg(rgb)


def store_facts(store: Store, videos: Sequence[str], most: int = 200) -> dict[str, Any]:
    """How a store was made, and the engines that computed the flow of (some of) these videos."""
    held = [video for video in videos if video in store]
    engines = sorted({store.video(video).engine for video in held[:most]} - {""})
    return {
        "store": store.folder.name,
        "videos of this report in it": f"{len(held)} of {len(videos)}",
        "engines": engines,
        **store.meta.to_json(),
    }


def moments(length: int, number: int = MOMENTS) -> list[int]:
    """`number` evenly spaced indices into `length` items."""
    return [int((i + 0.5) * length / number) for i in range(number)]


def _side_by_side(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    height, width = pictures.shape[1:3]
    size = (max(1, round(width * HEIGHT / height)), HEIGHT)
    small = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures]
    return np.concatenate(small, axis=1)


def _jpeg(rgb: NDArray[np.uint8]) -> str:
    body = base64.b64encode(encode_jpeg(rgb, quality=82))
    return "data:image/jpeg;base64," + body.decode("ascii")
