"""A video of a prediction: the picture at its own size, its motion, and the classes it may show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from flow.pictures.history import AttentionStrip, History
from flow.pictures.overlay_layout import Layout, Region, layout_of
from storage import atomic
from storage.codecs import flow_to_rgb
from storage.errors import UserError

Pen = ImageDraw.ImageDraw
Colour = tuple[int, int, int]
PAPER, GROUND, INK, FAINT, LINE = (
    (250, 250, 248),
    (236, 236, 234),
    (28, 30, 34),
    (104, 108, 114),
    (214, 216, 220),
)
PALETTE = (
    (31, 119, 180),
    (214, 96, 20),
    (44, 140, 60),
    (180, 40, 50),
    (130, 90, 180),
    (120, 80, 70),
    (200, 90, 160),
    (110, 120, 30),
)
SHOWN = 5
"""Classes that have a bar."""
COLUMNS = 4
"""Streams whose own probabilities stand beside the fused one."""
CURVES = 4
"""Classes that have a curve: those that were most probable at some time, the best first."""


class Overlay:
    """Draws frames and encodes them as they come (H.264 in MP4).

    Memory does not grow with the video: one page, and a history that is thinned out.
    """

    def __init__(
        self,
        path: Path,
        classes: tuple[str, ...],
        *,
        fps: float,
        duration: float,
        title: str,
        streams: Sequence[str] = (),
        flow: bool = True,
        full: float | None = None,
    ) -> None:
        """`duration`: seconds that the time axis spans; `streams`: who has a column of its own
        beside the fused one; `full`: pixels of motion that have the pure hue, by default nearly the
        fastest of the first flow that is shown."""
        if path.suffix.lower() != ".mp4":
            raise UserError(f"--overlay {path} must end in .mp4")
        if not os.access(path.parent, os.W_OK):
            raise UserError(f"--overlay {path}: {path.parent} is no folder that can be written to")
        self.path, self.classes, self.title, self.fps = path, classes, title, fps
        self.streams = tuple(streams) if len(streams) > 1 else ()
        self.flow = flow
        self.duration = max(duration, 1e-3)
        self.history = History()
        self.strips: dict[str, AttentionStrip] = {}
        self._full = full
        self._colours: dict[int, Colour] = {}
        self._layout: Layout | None = None
        self._fonts: dict[int, ImageFont.FreeTypeFont] = {}
        self._file = atomic.replacing(path)
        self._fresh = self._file.__enter__()
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> Overlay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._container is None and kind is None:
            error = UserError(f"--overlay {self.path}: there is no frame to show")
            self._file.__exit__(type(error), error, None)
            raise error
        if self._container is not None:
            if kind is None:
                for packet in self._stream.encode():
                    self._container.mux(packet)
            self._container.close()
        self._file.__exit__(kind, error, trace)

    def add(self, rgb: NDArray[np.uint8], flow: NDArray[np.float32] | None, time: float) -> None:
        """One frame of the video: RGB (H, W, 3), flow (2, h, w) in pixels, seconds."""
        page = self.draw(rgb, flow, time)
        if self._container is None:
            self._container = av.open(str(self._fresh), "w", format="mp4")
            rate = Fraction(self.fps).limit_denominator(1001)
            self._stream = self._container.add_stream("libx264", rate=rate)
            self._stream.height, self._stream.width = page.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "21", "preset": "veryfast"}
        frame = av.VideoFrame.from_ndarray(page, format="rgb24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def draw(
        self, rgb: NDArray[np.uint8], flow: NDArray[np.float32] | None, time: float
    ) -> NDArray[np.uint8]:
        """The page for one frame: uint8 (H', W', 3), of one size through the video."""
        if self._layout is None:
            height, width = rgb.shape[:2]
            self._layout = layout_of(width, height, flow=self.flow, strips=len(self.strips))
        where = self._layout
        page = Image.new("RGB", (where.width, where.height), PAPER)
        pen = ImageDraw.Draw(page)
        self._header(pen, where.header, time)
        self._picture(page, rgb, where.picture, Image.Resampling.BICUBIC)
        if where.flow is not None:
            self._flow(page, flow, where.flow)
        self._bars(pen, where.bars)
        self._curves(page, pen, where.curves, time)
        return np.asarray(page)

    def strip_of(self, name: str) -> AttentionStrip | None:
        """The strip of attention of a run; None where the page was laid out without."""
        if self._layout is None:
            self.strips.setdefault(name, AttentionStrip())
        return self.strips.get(name)

    def full_for(self, flow: NDArray[np.float32]) -> float:
        """Pixels of motion that have the pure hue; settled by the first motion there is."""
        if self._full is not None:
            return self._full
        fastest = float(np.percentile(np.hypot(flow[0], flow[1]), 99))
        steps = (1, 2, 3, 5, 8, 12, 20, 30)
        full = next((step for step in steps if step >= fastest), steps[-1])
        if fastest > 0.2:
            self._full = float(full)
        return float(full)

    def _unit(self, pixels: float) -> int:
        assert self._layout is not None
        return max(1, round(pixels * self._layout.unit))

    def _font(self, size: float) -> ImageFont.FreeTypeFont:
        """Matplotlib's DejaVu Sans: it is installed wherever this is."""
        pixels = self._unit(size)
        if pixels not in self._fonts:
            path = Path(get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
            self._fonts[pixels] = ImageFont.truetype(path, pixels)
        return self._fonts[pixels]

    def _header(self, pen: Pen, region: Region, time: float) -> None:
        font, middle = self._font(17), region.top + region.height // 2
        clock = f"{time:.1f} s"
        room = region.width - round(pen.textlength(clock, font=font)) - self._unit(20)
        pen.text((region.left, middle), cut(pen, self.title, font, room), INK, font, anchor="lm")
        pen.text((region.right, middle), clock, FAINT, font, anchor="rm")

    def _picture(
        self,
        page: Image.Image,
        rgb: NDArray[np.uint8],
        region: Region,
        how: Image.Resampling,
    ) -> Region:
        """A picture as large as fits, in the middle of its region; where it came to lie."""
        height, wide = rgb.shape[:2]
        scale = min(region.width / wide, region.height / height)
        size = max(1, round(wide * scale)), max(1, round(height * scale))
        shown = Image.fromarray(np.ascontiguousarray(rgb))
        if size != (wide, height):
            shown = shown.resize(size, how)
        left = region.left + (region.width - size[0]) // 2
        top = region.top + (region.height - size[1]) // 2
        page.paste(shown, (left, top))
        return Region(left, top, *size)

    def _flow(self, page: Image.Image, flow: NDArray[np.float32] | None, region: Region) -> None:
        if flow is None:
            pen = ImageDraw.Draw(page)
            pen.rectangle((region.left, region.top, region.right, region.bottom), outline=LINE)
            centre = region.left + region.width // 2, region.top + region.height // 2
            pen.text(centre, "no flow here", FAINT, self._font(14), anchor="mm")
            return
        full = self.full_for(flow)
        shown = self._picture(page, flow_to_rgb(flow, full), region, Image.Resampling.BILINEAR)
        self._key(page, shown, full)

    def _key(self, page: Image.Image, shown: Region, full: float) -> None:
        """The wheel of directions, in the corner of the flow picture."""
        radius = self._unit(20)
        grid = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
        wheel = flow_to_rgb(grid[::-1] / radius, 1.0)
        disc = Image.new("L", (2 * radius + 1,) * 2, 0)
        ImageDraw.Draw(disc).ellipse((0, 0, 2 * radius, 2 * radius), fill=255)
        inset = self._unit(8)
        corner = shown.right - 2 * radius - inset, shown.bottom - 2 * radius - inset
        page.paste(Image.fromarray(wheel), corner, disc)
        pen = ImageDraw.Draw(page)
        ring = (*corner, corner[0] + 2 * radius, corner[1] + 2 * radius)
        pen.ellipse(ring, outline=FAINT)
        pen.text(
            (corner[0] - self._unit(6), shown.bottom - inset),
            f"{full:g} px a frame",
            FAINT,
            self._font(12),
            anchor="rs",
            stroke_width=2,
            stroke_fill=(255, 255, 255),
        )

    def _bars(self, pen: Pen, region: Region) -> None:
        """The most probable classes now: fused as a bar, each stream's own beside it."""
        small, font = self._font(13), self._font(15)
        if not self.history.times:
            pen.text((region.left, region.top), "waiting for the first frames", FAINT, small)
            return
        now = self.history.probabilities[-1]
        named = self.streams[:COLUMNS]
        widest = max([0.0, *(pen.textlength(name, font=small) for name in named)])
        column = min(max(self._unit(54), round(widest) + self._unit(10)), self._unit(90))
        head = self._unit(20) if named else 0
        room = max(self._unit(60), region.width - column * (1 + len(named)))
        columns = [("fused", now), *((n, self.history.streams.get(n)) for n in named)]
        rights = [region.left + room + column * (k + 1) for k in range(len(columns))]
        if named:
            for right, (name, _) in zip(rights, columns, strict=True):
                text = cut(pen, name, small, column - self._unit(6))
                pen.text((right, region.top), text, FAINT, small, anchor="ra")
            if len(self.streams) > COLUMNS:
                more = f"{len(self.streams) - COLUMNS} more streams"
                pen.text((region.left, region.top), more, FAINT, small)
        pitch = min(self._unit(38), (region.height - head) // SHOWN)
        for row, index in enumerate(np.argsort(-now, kind="stable")[:SHOWN]):
            top = region.top + head + pitch * row
            middle, low, thick = top + pitch // 2, top + round(0.86 * pitch), self._unit(7)
            name = cut(pen, self.classes[index], font, room - self._unit(8))
            pen.text((region.left, low - thick - self._unit(4)), name, INK, font, anchor="ls")
            pen.rectangle((region.left, low - thick, region.left + room, low), fill=GROUND)
            reach = region.left + max(2, round(room * float(now[index])))
            pen.rectangle((region.left, low - thick, reach, low), fill=self._colour(int(index)))
            for right, (_, shares) in zip(rights, columns, strict=True):
                text = "–" if shares is None else f"{shares[index]:.0%}"
                ink = INK if right == rights[0] else FAINT
                pen.text((right, middle), text, ink, font, anchor="rm")

    def _curves(self, page: Image.Image, pen: Pen, region: Region, time: float) -> None:
        """The leading classes' probabilities over time, up to now, over strips of attention."""
        small = self._font(13)
        strip, gap = self._unit(22), self._unit(6) if self.strips else 0
        label = max(
            [self._unit(44), *(round(pen.textlength(n, font=small)) + 12 for n in self.strips)]
        )
        start = region.left + min(label, region.width // 3)
        stop = region.right - self._unit(8)
        top = region.top + self._unit(8)
        bottom = region.bottom - self._unit(26) - strip * len(self.strips) - gap
        for share in (0.0, 0.5, 1.0):
            y = bottom - share * (bottom - top)
            pen.line((start, y, stop, y), fill=LINE)
            pen.text((start - self._unit(8), y), f"{share:.0%}", FAINT, small, anchor="rm")
        span = max(self.duration, time)
        low = bottom + gap + strip * len(self.strips)
        for tick in ticks_of(span):
            x = start + (stop - start) * tick / span
            pen.line((x, low, x, low + 5), fill=FAINT)
            pen.text((x, low + self._unit(8)), f"{tick:g} s", FAINT, small, anchor="ma")
        if self.history.times:
            width = self._unit(3)
            table = np.array(self.history.probabilities)
            for index in self._leading(table[-1]):
                points = [
                    (start + (stop - start) * t / span, bottom - float(p) * (bottom - top))
                    for t, p in zip(self.history.times, table[:, index], strict=True)
                ]
                if len(points) > 1:
                    pen.line(points, fill=self._colour(index), width=width, joint="curve")
                x, y = points[-1]
                dot = 1.7 * width
                pen.ellipse((x - dot, y - dot, x + dot, y + dot), fill=self._colour(index))
        for row, (name, found) in enumerate(self.strips.items()):
            high = bottom + gap + strip * row + self._unit(6)
            box = Region(start, high, stop - start, strip - self._unit(6))
            self._draw_strip(page, found, box, span)
            text = cut(pen, name, small, start - region.left - self._unit(8))
            middle = high + box.height // 2
            pen.text((start - self._unit(8), middle), text, FAINT, small, anchor="rm")
        x = start + (stop - start) * time / span
        pen.line((x, top - 4, x, low), fill=INK, width=self._unit(1))

    def _draw_strip(
        self, page: Image.Image, found: AttentionStrip, box: Region, span: float
    ) -> None:
        """Its colours where they are known; pale where they are not."""
        row = np.full((box.width, 3), GROUND, np.uint8)
        if found.span:
            at = (np.arange(box.width) + 0.5) / box.width * span / found.span * len(found.known)
            inside = at < len(found.known)
            source = at[inside].astype(int)
            row[inside] = np.where(found.known[source, None], found.colours[source], row[inside])
        strip = np.broadcast_to(row, (box.height, box.width, 3))
        page.paste(Image.fromarray(np.ascontiguousarray(strip)), (box.left, box.top))

    def _leading(self, now: NDArray[np.float32]) -> list[int]:
        """Classes with a curve; drawn in turn, so that the most probable now lies on top."""
        assert self.history.led is not None
        chosen = np.argsort(-self.history.led, kind="stable")[:CURVES]
        return sorted((int(c) for c in chosen), key=lambda c: float(now[c]))

    def _colour(self, index: int) -> Colour:
        """A class keeps its colour through the video."""
        return self._colours.setdefault(index, PALETTE[len(self._colours) % len(PALETTE)])


def ticks_of(span: float) -> list[float]:
    """Four to nine round numbers from 0 to `span`."""
    rough = span / 6
    power = 10 ** np.floor(np.log10(max(rough, 1e-6)))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    return [float(round(k * step, 6)) for k in range(int(span / step + 1e-9) + 1)]


def cut(pen: Pen, text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text, or its beginning with an ellipsis, so that it fits."""
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(text + "…", font=font) > width:
        text = text[:-1]
    return text + "…"
