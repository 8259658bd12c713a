"""Line charts as SVG text: they print sharply, follow the page's colours and need no script.

Colours are CSS classes (`s0`, `s1`, ...), so that light and dark are the style sheet's business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 42


@dataclass(frozen=True)
class Line:
    """One curve."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    dashed: bool = False
    dots: bool = False
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    """A band around the curve."""


@dataclass(frozen=True)
class Mark:
    """A vertical or horizontal line with a word."""

    at: float
    text: str
    vertical: bool = False


@dataclass
class Chart:
    """Axes and curves."""

    title: str
    lines: Sequence[Line]
    x_label: str
    y_label: str
    percent_x: bool = False
    percent_y: bool = False
    marks: Sequence[Mark] = field(default_factory=list)
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    bars: Sequence[tuple[float, float, float]] = field(default_factory=list)
    """(from, to, height) in the axes' units, drawn faintly behind the curves."""
    size: tuple[int, int] = (460, 290)

    def __post_init__(self) -> None:
        xs = [v for line in self.lines for v in line.x]
        ys = [v for line in self.lines for v in (*line.y, *(line.low or ()), *(line.high or ()))]
        ys += [mark.at for mark in self.marks if not mark.vertical]
        self.x0, self.x1 = self.x_range or _range(xs, 0)
        self.y0, self.y1 = self.y_range or _range(ys, 0.06)
        self.right, self.bottom = self.size[0] - RIGHT, self.size[1] - BOTTOM

    def px(self, x: float) -> float:
        return LEFT + (x - self.x0) / (self.x1 - self.x0) * (self.right - LEFT)

    def py(self, y: float) -> float:
        return self.bottom - (y - self.y0) / (self.y1 - self.y0) * (self.bottom - TOP)

    def svg(self) -> str:
        """The whole chart; text is escaped."""
        label = escape(f"{self.title}: {self.y_label} over {self.x_label}", quote=True)
        box = f'viewBox="0 0 {self.size[0]} {self.size[1]}"'
        parts = [
            f'<svg class="chart" {box} role="img" aria-label="{label}">',
            *self._axes(),
        ]
        for start, end, height in self.bars:
            x, y = self.px(start), self.py(height)
            box = f'x="{x + 0.5:.1f}" y="{y:.1f}" width="{self.px(end) - x - 1:.1f}"'
            parts.append(f'<rect class="bar" {box} height="{self.bottom - y:.1f}"/>')
        for line in self.lines:
            if line.low is not None and line.high is not None:
                edge = [*zip(line.x, line.high, strict=True)]
                edge += [*zip(line.x, line.low, strict=True)][::-1]
                parts.append(f'<path class="band s{line.colour % 8}" d="{self._path(edge)}Z"/>')
        for mark in self.marks:
            parts += self._mark(mark)
        for line in self.lines:
            points = [*zip(line.x, line.y, strict=True)]
            dash = " dashed" if line.dashed else ""
            if len(points) > 1:
                path = self._path(points)
                parts.append(f'<path class="line s{line.colour % 8}{dash}" d="{path}"/>')
            if line.dots or len(points) == 1:
                parts += [
                    f'<circle class="dot s{line.colour % 8}" r="3.5" '
                    f'cx="{self.px(x):.1f}" cy="{self.py(y):.1f}"/>'
                    for x, y in points
                ]
        return "".join([*parts, "</svg>"])

    def hover(self) -> dict[str, Any]:
        """What the page's script needs to name the values under the pointer."""
        return {
            "x": [self.x0, self.x1],
            "y": [self.y0, self.y1],
            "box": [LEFT, TOP, self.right, self.bottom],
            "percent": [self.percent_x, self.percent_y],
            "label": self.x_label,
            "lines": [
                {"name": x.name, "x": list(x.x), "y": list(x.y), "colour": x.colour % 8}
                for x in self.lines
            ],
        }

    def _path(self, points: Sequence[tuple[float, float]]) -> str:
        return "M" + "L".join(f"{self.px(x):.1f} {self.py(y):.1f}" for x, y in points)

    def _axes(self) -> list[str]:
        parts = []
        bottom, right = self.bottom, self.right
        for tick in ticks(self.y0, self.y1):
            y = self.py(tick)
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
            text = number(tick, self.percent_y, self.y1 - self.y0)
            parts.append(f'<text class="tick end" x="{LEFT - 6}" y="{y + 4:.1f}">{text}</text>')
        for tick in ticks(self.x0, self.x1):
            x = self.px(tick)
            text = number(tick, self.percent_x, self.x1 - self.x0)
            parts.append(f'<text class="tick mid" x="{x:.1f}" y="{bottom + 16}">{text}</text>')
        parts.append(f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>')
        at = f'x="{(LEFT + right) / 2}" y="{self.size[1] - 6}"'
        parts.append(f'<text class="axis-name mid" {at}>{escape(self.x_label)}</text>')
        return parts

    def _mark(self, mark: Mark) -> list[str]:
        text = escape(mark.text)
        if mark.vertical:
            x = self.px(mark.at)
            side = "end" if x > self.size[0] * 0.7 else ""
            shift = -5 if side else 5
            return [
                f'<path class="mark" d="M{x:.1f} {TOP}V{self.bottom}"/>',
                f'<text class="mark-name {side}" x="{x + shift:.1f}" '
                f'y="{self.bottom - 6}">{text}</text>',
            ]
        y = self.py(mark.at)
        return [
            f'<path class="mark" d="M{LEFT} {y:.1f}H{self.right}"/>',
            f'<text class="mark-name end" x="{self.right - 4}" y="{y - 5:.1f}">{text}</text>',
        ]


def _range(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    room = margin * (high - low)
    return low - room, high + room


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers, about `about` of them, from low to high."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(k * power for k in (1, 2, 2.5, 5, 10) if k * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def number(value: float, percent: bool = False, span: float = 1.0) -> str:
    """A tick's text: 0.25 -> 25, 20000 -> 20k, 0.00025 -> 2.5e-4."""
    if percent:
        return f"{100 * value:.{0 if span >= 0.03 else 1}f}"
    if abs(value) >= 1000:
        return f"{value / 1000:g}k"
    if 0 < abs(value) < 0.001 or (value and span < 0.01):
        power = math.floor(math.log10(abs(value)))
        return f"{value / 10.0**power:.3g}e{power}"
    return f"{round(value, 10):g}"
