"""Which local descriptors stand side by side in a row, and how wide each is.

`flow.trajectories` writes such rows and `streams.aggregators` reads them; neither imports the
other, so what they agree on is here.
"""

from __future__ import annotations

from typing import NamedTuple


class DescriptorType(NamedTuple):
    """One kind of descriptor among several in a row."""

    name: str
    width: int
    histogram: bool
    """Whether its numbers are counts of a histogram, none of them negative."""


IDT = (
    DescriptorType("trajectory", 30, histogram=False),
    DescriptorType("hog", 96, histogram=True),
    DescriptorType("hof", 108, histogram=True),
    DescriptorType("mbhx", 96, histogram=True),
    DescriptorType("mbhy", 96, histogram=True),
)
"""Improved dense trajectories (Wang and Schmid 2013): 426 numbers a track."""


def row_width(types: tuple[DescriptorType, ...]) -> int:
    """Numbers in a row."""
    return sum(kind.width for kind in types)


def columns(types: tuple[DescriptorType, ...], name: str) -> slice:
    """Where in a row the descriptor of that name is."""
    start = 0
    for kind in types:
        if kind.name == name:
            return slice(start, start + kind.width)
        start += kind.width
    raise KeyError(name)
