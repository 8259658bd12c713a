"""Where what lies on the page of an overlay: the picture at its own size, a panel beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

LEAST_WIDTH, LEAST_HEIGHT = 960, 720
"""Pixels of a page; smaller pictures are enlarged by the largest whole factor that fits."""
HEADER, PANEL, BESIDE = 36, 250, 440
"""At a unit of 1: height of the line at the top, of a panel below, width of one beside."""
MARGIN = 16


class Region(NamedTuple):
    """Pixels of the page."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height


@dataclass(frozen=True)
class Layout:
    """A page for pictures of one size."""

    width: int
    height: int
    """Even: H.264 with halved colours needs that."""
    unit: float
    """By which letters and lines grow with the page."""
    header: Region
    picture: Region
    """Where each pixel of the video is one pixel, or a square of them."""
    flow: Region | None
    bars: Region
    curves: Region


def layout_of(width: int, height: int, *, flow: bool, strips: int = 0) -> Layout:
    """Landscape: the panel lies below; portrait: beside. `strips`: rows of attention."""
    portrait = height > width
    scale = max(1, LEAST_HEIGHT // height if portrait else LEAST_WIDTH // width)
    wide, tall = width * scale, height * scale
    if portrait:
        return portrait_page(wide, tall, flow, strips)
    page = even(max(wide, LEAST_WIDTH))
    unit = max(page / 1280, 0.75)
    top, margin = round(HEADER * unit), round(MARGIN * unit)
    panel = round((PANEL + 22 * strips) * unit)
    inner = panel - 2 * margin
    above = top + tall + margin
    flow_width = min(round(inner * width / height), round(page * 0.3)) if flow else 0
    left = 2 * margin + flow_width if flow else margin
    half = round((page - left - 2 * margin) * 0.54)
    return Layout(
        page,
        even(top + tall + panel),
        unit,
        Region(margin, 0, page - 2 * margin, top),
        Region((page - wide) // 2, top, wide, tall),
        Region(margin, above, flow_width, inner) if flow else None,
        Region(left, above, half, inner),
        Region(left + half + margin, above, page - left - half - 2 * margin, inner),
    )


def portrait_page(wide: int, tall: int, flow: bool, strips: int) -> Layout:
    page = max(tall, LEAST_HEIGHT)
    unit = max(page / 1080, 0.75)
    top, margin, beside = round(HEADER * unit), round(MARGIN * unit), round(BESIDE * unit)
    left, inner = wide + margin, beside - 2 * margin
    rows = page - 4 * margin if flow else page - 3 * margin
    third = rows // 3 if flow else rows // 2
    at = top + margin
    flow_region = Region(left, at, inner, third) if flow else None
    at += third + margin if flow else 0
    bars = Region(left, at, inner, min(third, round(260 * unit)))
    at = bars.bottom + margin
    curves = Region(left, at, inner, min(third, round((260 + 22 * strips) * unit)))
    return Layout(
        even(wide + beside),
        even(top + page),
        unit,
        Region(margin, 0, wide + beside - 2 * margin, top),
        Region(0, top + (page - tall) // 2, wide, tall),
        flow_region,
        bars,
        curves,
    )


def even(pixels: int) -> int:
    return pixels + pixels % 2
