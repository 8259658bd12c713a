"""Numbers as pictures: frames, flow, gradients, filters, heat. All pictures are uint8 RGB."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from storage.codecs import flow_to_rgb

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]
GAP, GROUND = 4, 255
"""Pixels between tiles, and their grey."""
GREY = 128
TOP = 0.995
"""Quantile of sizes that gets the full colour: a few pixels far above would leave the rest pale."""


def drawn(steps: Floats, kind: str, full: float | None = None) -> Bytes:
    """What a network is given, (T, c, H, W) -> (T, H, W, 3): frames in 0..1, flow in pixels (the
    wheel's full colour at `full`), differences of frames in -1..1 (grey is none)."""
    if kind == "flow":
        return flow_to_rgb(steps, full or fastest(steps))
    if kind == "difference":
        return signed(steps, float(np.abs(steps).max(initial=0)))
    return to_bytes(steps.transpose(0, 2, 3, 1) * 255)


def gradients(steps: Floats, kind: str, full: float | None = None) -> Bytes:
    """A gradient at the input (T, c, H, W) -> (T, H, W, 3). Of frames: grey is 0, a colour says
    which change of red, green and blue. Of flow: the wheel, as of the motion that would help."""
    if kind == "flow":
        return flow_to_rgb(steps, full or fastest(steps, 0.0))
    sizes = np.abs(steps)
    return signed(steps, full or float(np.quantile(sizes, TOP)) or float(sizes.max(initial=0)))


def fastest(flow: Floats, least: float = 0.5) -> float:
    """The speed of flow (..., 2, H, W) that has the full colour."""
    speed = np.hypot(flow[..., 0, :, :], flow[..., 1, :, :])
    return max(float(np.quantile(speed, TOP)) or float(speed.max()), least)


def signed(steps: Floats, full: float) -> Bytes:
    """(T, 3, H, W), grey at 0, black and white of a channel at -full and full."""
    return to_bytes(GREY + (GREY - 1) * steps.transpose(0, 2, 3, 1) / max(full, 1e-12))


def to_bytes(values: Floats) -> Bytes:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def heat(values: Floats) -> Bytes:
    """0..1 (...) -> (..., 3): black, purple, orange, pale yellow."""
    from matplotlib import colormaps

    return to_bytes(255 * colormaps["inferno"](np.clip(values, 0, 1))[..., :3])


def in_unit(values: Floats) -> Floats:
    """Divided by the largest; 0 stays 0."""
    return values / max(float(values.max(initial=0)), 1e-12)


def warmed(pictures: Bytes, share: Floats) -> Bytes:
    """Frames (T, H, W, 3) under heat (T, H, W) in 0..1: grey where there is none."""
    grey = pictures.astype(np.float64) @ (0.299, 0.587, 0.114)
    ground = np.repeat(0.8 * grey[..., None], 3, axis=-1)
    weight = (0.8 * share)[..., None]
    return to_bytes((1 - weight) * ground + weight * heat(0.25 + 0.75 * share))


def lit(pictures: Bytes, share: Floats) -> Bytes:
    """Pictures (T, H, W, 3) that stay as they are where share (T, H, W) is 1, and go dark at 0:
    for flow, whose colours mean something."""
    return to_bytes(pictures * (0.2 + 0.8 * np.clip(share, 0, 1))[..., None])


def shown_steps(steps: int, most: int = 6) -> list[int]:
    """At most so many steps, evenly spread from the first to the last."""
    if steps <= most:
        return list(range(steps))
    return [round(i * (steps - 1) / (most - 1)) for i in range(most)]


def resized(picture: Bytes, height: int, width: int, *, plain: bool = False) -> Bytes:
    """`plain`: pixels stay squares."""
    import cv2

    if picture.shape[:2] == (height, width):
        return picture
    larger = height > picture.shape[0]
    how = cv2.INTER_NEAREST if plain else cv2.INTER_CUBIC if larger else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


def row(tiles: Sequence[Bytes], gap: int = GAP) -> Bytes:
    """Pictures of one height side by side."""
    return sheet([list(tiles)], gap)


def sheet(rows: Sequence[Sequence[Bytes]], gap: int = GAP) -> Bytes:
    """Rows of tiles; a column is as wide as its widest tile, a row as high as its highest."""
    heights = [max(tile.shape[0] for tile in tiles) for tiles in rows]
    columns = max(map(len, rows))
    widths = [max(r[c].shape[1] for r in rows if c < len(r)) for c in range(columns)]
    height, width = sum(heights) + gap * (len(rows) - 1), sum(widths) + gap * (columns - 1)
    page = np.full((height, width, 3), GROUND, np.uint8)
    top = 0
    for tiles, tall in zip(rows, heights, strict=True):
        left = 0
        for tile, wide in zip(tiles, widths, strict=False):
            page[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
            left += wide + gap
        top += tall + gap
    return page


def in_rows(tiles: Sequence[Bytes], columns: int) -> list[list[Bytes]]:
    return [list(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]


def filter_tiles(filters: Floats, kind: str, side: int) -> NDArray[np.uint8]:
    """Filters (K, T, c, h, w) -> (K, T, side', side', 3), side' about `side`; pixels stay squares.

    Each filter has its own scale over all its steps. Flow: what motion it answers to, as colour.
    """
    tall = max(1, round(side / filters.shape[-2]))
    wide = max(1, round(side / filters.shape[-1]))
    tiles = []
    for one in filters:
        if kind == "flow":
            pictures = flow_to_rgb(one, float(np.hypot(one[:, 0], one[:, 1]).max()) or 1.0)
        else:
            pictures = signed(one, float(np.abs(one).max()))
        tiles.append(pictures.repeat(tall, 1).repeat(wide, 2))
    return np.stack(tiles)
