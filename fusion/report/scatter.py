"""Accuracy against cost as SVG text: each system a point with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from fusion.report.charts import ticks

LEFT, RIGHT, TOP, BOTTOM = 48, 16, 14, 42
LETTER, LINE = 6.4, 14.0
"""About the width of a letter and the height of a line, pixels."""
LONGEST = 24
"""Letters of a name that are written beside its point."""


@dataclass(frozen=True)
class Spot:
    """A system."""

    name: str
    x: float
    y: float
    low: float | None
    high: float | None
    leads: bool
    """No other one is as accurate for as little."""
    words: str
    """What pointing at it tells."""


@dataclass(frozen=True)
class Scatter:
    """Points over a logarithmic axis of costs; all costs are over 0."""

    title: str
    spots: Sequence[Spot]
    x_label: str
    size: tuple[int, int] = (560, 360)

    def px(self, x: float) -> float:
        low, high = self._costs()
        share = (math.log10(x) - low) / (high - low)
        return LEFT + share * (self.size[0] - RIGHT - LEFT)

    def py(self, y: float) -> float:
        low, high = self._shares()
        bottom = self.size[1] - BOTTOM
        return bottom - (y - low) / (high - low) * (bottom - TOP)

    def _costs(self) -> tuple[float, float]:
        """Ends of the axis, as powers of ten; a system alone stands in the middle of a decade."""
        powers = [math.log10(spot.x) for spot in self.spots]
        room = max(0.08 * (max(powers) - min(powers)), 0.15)
        return min(powers) - room, max(powers) + room

    def _shares(self) -> tuple[float, float]:
        values = [v for s in self.spots for v in (s.low, s.y, s.high) if v is not None]
        room = max(0.06 * (max(values) - min(values)), 0.005)
        return min(values) - room, max(values) + room

    def svg(self) -> str:
        """The whole picture; text is escaped."""
        label = escape(f"{self.title}: top-1 over {self.x_label}", quote=True)
        box = f'viewBox="0 0 {self.size[0]} {self.size[1]}"'
        parts = [f'<svg class="chart scatter" {box} role="img" aria-label="{label}">']
        parts += self._axes()
        leaders = sorted((s for s in self.spots if s.leads), key=lambda s: s.x)
        if len(leaders) > 1:
            path = "L".join(f"{self.px(s.x):.1f} {self.py(s.y):.1f}" for s in leaders)
            parts.append(f'<path class="front" d="M{path}"/>')
        names = self._names()
        for spot in sorted(self.spots, key=lambda s: s.leads):
            parts += self._spot(spot, names.get(spot.name, ""))
        return "".join([*parts, "</svg>"])

    def _spot(self, spot: Spot, name: str) -> list[str]:
        x, y = self.px(spot.x), self.py(spot.y)
        kind = "spot leads" if spot.leads else "spot"
        words = escape(spot.words, quote=True)
        parts = [f'<g class="{kind}" data-words="{words}">']
        if spot.low is not None and spot.high is not None:
            ends = f"M{x:.1f} {self.py(spot.low):.1f}V{self.py(spot.high):.1f}"
            parts.append(f'<path class="reach" d="{ends}"/>')
        parts.append(f'<circle r="5" cx="{x:.1f}" cy="{y:.1f}"/>{name}</g>')
        return parts

    def _names(self) -> dict[str, str]:
        """Name -> its text, where it overlaps nothing; leaders first, then from the top."""
        taken = [
            (self.px(s.x) - 6, self.py(s.y) - 6, self.px(s.x) + 6, self.py(s.y) + 6)
            for s in self.spots
        ]
        texts = {}
        for spot in sorted(self.spots, key=lambda s: (not s.leads, -s.y)):
            short = spot.name if len(spot.name) <= LONGEST else spot.name[: LONGEST - 1] + "…"
            width = LETTER * len(short)
            x, y = self.px(spot.x), self.py(spot.y)
            for left, top, anchor in (
                (x + 9, y - LINE / 2, "start"),
                (x - 9 - width, y - LINE / 2, "end"),
                (x + 6, y - LINE - 3, "start"),
                (x + 6, y + 3, "start"),
                (x - 6 - width, y - LINE - 3, "end"),
                (x - 6 - width, y + 3, "end"),
            ):
                box = (left, top, left + width, top + LINE)
                inside = left > LEFT and box[2] < self.size[0] and top > 0
                if inside and not any(_overlap(box, other) for other in taken):
                    taken.append(box)
                    at = left if anchor == "start" else left + width
                    place = f'x="{at:.1f}" y="{top + LINE - 3:.1f}" text-anchor="{anchor}"'
                    texts[spot.name] = f"<text {place}>{escape(short)}</text>"
                    break
        return texts

    def _axes(self) -> list[str]:
        parts = []
        bottom, right = self.size[1] - BOTTOM, self.size[0] - RIGHT
        for tick in ticks(*self._shares()):
            y = self.py(tick)
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
            text = f"{100 * tick:.{0 if round(100 * tick, 6).is_integer() else 1}f}"
            parts.append(f'<text class="tick end" x="{LEFT - 6}" y="{y + 4:.1f}">{text}</text>')
        for tick in decades(*self._costs()):
            x = self.px(tick)
            parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>')
            text = short_number(tick)
            parts.append(f'<text class="tick mid" x="{x:.1f}" y="{bottom + 16}">{text}</text>')
        parts.append(f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>')
        at = f'x="{(LEFT + right) / 2}" y="{self.size[1] - 6}"'
        parts.append(f'<text class="axis-name mid" {at}>{escape(self.x_label)}</text>')
        return parts


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def decades(low: float, high: float) -> list[float]:
    """Round numbers from 10^low to 10^high: 1, 2, 5 of each decade, or 1 alone over many."""
    steps = (1, 2, 5) if high - low < 2.2 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    numbers = [k * 10.0**power for power in powers for k in steps]
    return [number for number in numbers if low <= math.log10(number) <= high]


def short_number(value: float) -> str:
    """11176512 -> 11.2 M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"
