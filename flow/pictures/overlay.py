"""A video of a prediction: the picture, its motion, and the classes it may show."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from storage import atomic
from storage.codecs import flow_to_rgb
from storage.errors import UserError

WIDTH, HEIGHT = 1280, 720
MARGIN, PICTURE_HEIGHT = 24, 430
PAPER, INK, FAINT, LINE = (250, 250, 248), (28, 30, 34), (120, 124, 130), (214, 216, 220)
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
CURVES = 4
"""Classes that have a curve: those that were most probable at some time, the best first."""


@dataclass
class History:
    """The running prediction so far."""

    times: list[float] = field(default_factory=list)
    probabilities: list[NDArray[np.float32]] = field(default_factory=list)
    """(C,) each."""

    def add(self, time: float, probabilities: NDArray[np.float32]) -> None:
        self.times.append(time)
        self.probabilities.append(probabilities)


class Overlay:
    """Draws frames and encodes them as they come (H.264 in MP4)."""

    def __init__(
        self,
        path: Path,
        classes: tuple[str, ...],
        *,
        fps: float,
        duration: float,
        title: str,
        full: float | None = None,
    ) -> None:
        """`duration`: seconds that the time axis spans; `full`: pixels of motion that have the
        pure hue, by default nearly the fastest of the first flow that is shown."""
        if path.suffix.lower() != ".mp4":
            raise UserError(f"--overlay {path} must end in .mp4")
        if not os.access(path.parent, os.W_OK):
            raise UserError(f"--overlay {path}: {path.parent} is no folder that can be written to")
        self.path, self.classes, self.title = path, classes, title
        self._full = full
        self.duration = max(duration, 1e-3)
        self.history = History()
        self._colours: dict[int, tuple[int, int, int]] = {}
        self._fonts = {size: _font(size) for size in (17, 20, 26)}
        self._file = atomic.replacing(path)
        self._container = av.open(str(self._file.__enter__()), "w")
        rate = Fraction(fps).limit_denominator(1001)
        self._stream: Any = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = WIDTH, HEIGHT
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "21", "preset": "veryfast"}

    def __enter__(self) -> Overlay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()
        self._file.__exit__(kind, error, trace)

    def add(
        self,
        rgb: NDArray[np.uint8],
        flow: NDArray[np.float32] | None,
        time: float,
    ) -> None:
        """One frame of the video: RGB (H, W, 3), flow (2, H, W) in pixels, seconds."""
        frame = av.VideoFrame.from_ndarray(self.draw(rgb, flow, time), format="rgb24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def draw(
        self, rgb: NDArray[np.uint8], flow: NDArray[np.float32] | None, time: float
    ) -> NDArray[np.uint8]:
        """The page for one frame: uint8 (720, 1280, 3)."""
        page = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
        pen = ImageDraw.Draw(page)
        pen.text((MARGIN, 14), _cut(pen, self.title, self._fonts[20], 900), INK, self._fonts[20])
        clock = f"{time:.1f} s"
        pen.text((WIDTH - MARGIN, 14), clock, FAINT, self._fonts[20], anchor="ra")
        half = (WIDTH - 3 * MARGIN) // 2
        self._picture(page, rgb, MARGIN, half)
        second = 2 * MARGIN + half
        if flow is not None:
            self._picture(page, flow_to_rgb(flow, self.full_for(flow)), second, half)
            self._key(page, second + half, self.full_for(flow))
        else:
            pen.rectangle(_box(second, half), outline=LINE)
            pen.text(
                (second + half // 2, 50 + PICTURE_HEIGHT // 2),
                "no flow was computed",
                FAINT,
                self._fonts[17],
                anchor="mm",
            )
        self._bars(pen, MARGIN, half)
        self._curves(pen, second, half, time)
        return np.asarray(page)

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

    def _picture(self, page: Image.Image, rgb: NDArray[np.uint8], left: int, width: int) -> None:
        """A picture as large as fits, centred on a ground of its own."""
        ImageDraw.Draw(page).rectangle(_box(left, width), fill=(236, 236, 234))
        height, wide = rgb.shape[:2]
        scale = min(width / wide, PICTURE_HEIGHT / height)
        size = max(1, round(wide * scale)), max(1, round(height * scale))
        shown = Image.fromarray(np.ascontiguousarray(rgb)).resize(size, Image.Resampling.BICUBIC)
        at = left + (width - size[0]) // 2, 50 + (PICTURE_HEIGHT - size[1]) // 2
        page.paste(shown, at)

    def _key(self, page: Image.Image, right: int, full: float) -> None:
        """The wheel of directions, in the corner of the flow picture."""
        radius = 30
        grid = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
        wheel = flow_to_rgb(grid[::-1] / radius, 1.0)
        disc = Image.new("L", (2 * radius + 1,) * 2, 0)
        ImageDraw.Draw(disc).ellipse((0, 0, 2 * radius, 2 * radius), fill=255)
        corner = right - 2 * radius - 14, 50 + PICTURE_HEIGHT - 2 * radius - 14
        page.paste(Image.fromarray(wheel), corner, disc)
        pen = ImageDraw.Draw(page)
        ring = (*corner, corner[0] + 2 * radius, corner[1] + 2 * radius)
        pen.ellipse(ring, outline=FAINT)
        text = f"{full:g} px a frame"
        pen.text(
            (corner[0] - 8, corner[1] + 2 * radius),
            text,
            FAINT,
            self._fonts[17],
            anchor="rs",
            stroke_width=2,
            stroke_fill=(255, 255, 255),
        )

    def _bars(self, pen: ImageDraw.ImageDraw, left: int, width: int) -> None:
        """The most probable classes now."""
        top = 50 + PICTURE_HEIGHT + 20
        if not self.history.times:
            pen.text((left, top + 8), "waiting for the first frames", FAINT, self._fonts[17])
            return
        now = self.history.probabilities[-1]
        label, number = 230, 62
        room = width - label - number
        for row, index in enumerate(np.argsort(-now, kind="stable")[:SHOWN]):
            y = top + 40 * row
            font = self._fonts[20]
            colour = self._colour(int(index))
            name = _cut(pen, self.classes[index], font, label - 12)
            pen.text((left + label - 12, y + 15), name, INK, font, anchor="rm")
            pen.rectangle((left + label, y + 3, left + label + room, y + 27), fill=(236, 236, 234))
            reach = left + label + max(2, round(room * float(now[index])))
            pen.rectangle((left + label, y + 3, reach, y + 27), fill=colour)
            text = f"{now[index]:.0%}"
            pen.text((left + width, y + 15), text, INK, font, anchor="rm")

    def _curves(self, pen: ImageDraw.ImageDraw, left: int, width: int, time: float) -> None:
        """The leading classes' probabilities over time, up to now."""
        top, bottom = 50 + PICTURE_HEIGHT + 24, HEIGHT - 46
        start, stop = left + 40, left + width - 4
        small = self._fonts[17]
        for share in (0.0, 0.5, 1.0):
            y = bottom - share * (bottom - top)
            pen.line((start, y, stop, y), fill=LINE)
            pen.text((start - 8, y), f"{share:.0%}", FAINT, small, anchor="rm")
        span = max(self.duration, time)
        for tick in _ticks(span):
            x = start + (stop - start) * tick / span
            pen.line((x, bottom, x, bottom + 5), fill=FAINT)
            pen.text((x, bottom + 8), f"{tick:g} s", FAINT, small, anchor="ma")
        if self.history.times:
            table = np.array(self.history.probabilities)
            for index in self._leading(table):
                points = [
                    (start + (stop - start) * t / span, bottom - float(p) * (bottom - top))
                    for t, p in zip(self.history.times, table[:, index], strict=True)
                ]
                if len(points) > 1:
                    pen.line(points, fill=self._colour(index), width=3, joint="curve")
                x, y = points[-1]
                pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill=self._colour(index))
        x = start + (stop - start) * time / span
        pen.line((x, top - 6, x, bottom), fill=INK)

    def _leading(self, table: NDArray[np.float32]) -> list[int]:
        """Classes with a curve; drawn in turn, so that the most probable now lies on top."""
        led = table.max(axis=0)
        chosen = np.argsort(-led, kind="stable")[:CURVES]
        return sorted((int(c) for c in chosen), key=lambda c: float(table[-1, c]))

    def _colour(self, index: int) -> tuple[int, int, int]:
        """A class keeps its colour through the video."""
        return self._colours.setdefault(index, PALETTE[len(self._colours) % len(PALETTE)])


def _box(left: int, width: int) -> tuple[int, int, int, int]:
    return left, 50, left + width - 1, 50 + PICTURE_HEIGHT - 1


def _ticks(span: float) -> list[float]:
    """Four to nine round numbers from 0 to `span`."""
    rough = span / 6
    power = 10 ** np.floor(np.log10(max(rough, 1e-6)))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    return [float(round(k * step, 6)) for k in range(int(span / step + 1e-9) + 1)]


def _cut(pen: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text, or its beginning with an ellipsis, so that it fits."""
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(text + "…", font=font) > width:
        text = text[:-1]
    return text + "…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Matplotlib's DejaVu Sans: it is installed wherever this is."""
    return ImageFont.truetype(Path(get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)
