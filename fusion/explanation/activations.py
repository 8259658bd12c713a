"""The strongest activations of filters as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion.explanation.asked import Wanted
from fusion.explanation.drawing import drawn, gradients, in_rows, resized, sheet, shown_steps
from fusion.explanation.figures import Section, still
from fusion.explanation.first_layer import listed
from streams.explanation import LITTLE, Snapshot, Strongest, conv_parts, strongest_activations
from streams.networks import Network


def filter_sections(
    network: Network, snapshots: Sequence[Snapshot], wanted: Wanted
) -> list[Section]:
    """Deconvnet of the strongest activations of some filters of some parts."""
    parts = wanted.parts or tuple(conv_parts(network, snapshots[0].x))
    note = (
        f"The filters that answer most strongly to {len(snapshots)} videos. Of their "
        "strongest activations, one a video and the strongest first: above, what deconvnet finds "
        "in the input to have made it; below, that piece of the input."
    )
    if not parts:
        return []
    sections = [Section("Strongest activations", note)]
    clip = network.layout == "clip"
    best = 1 if clip else wanted.best
    found = strongest_activations(network, snapshots, parts, filters=wanted.filters, best=best)
    for part, rows in found.items():
        if not rows:
            sections.append(Section(part, "No filter answers here: all of it is 0.", inner=True))
            continue
        numbers = listed([r[0].filter for r in rows])
        make = over_time if clip else side_by_side
        tiles = [sheet([make(r, snapshots)], gap=3) for r in rows]
        picture = sheet(in_rows(tiles, 2), gap=18)
        more = "; the strongest only, over the steps that it saw" if clip else ""
        figure = still(
            f"strongest-{part}", picture, f"strongest activations behind {part}",
            f"{part}: filters {numbers}, row by row{more}",
        )  # fmt: skip
        sections.append(Section(part, figures=[figure], inner=True))
    return sections


def side_by_side(found: Sequence[Strongest], snapshots: Sequence[Snapshot]) -> list[np.ndarray]:
    """Deconvnet above the input, a pair of tiles an activation. Of several steps that one which
    counts most."""
    tiles = []
    for one in found:
        step = int(np.abs(one.picture).max((1, 2, 3)).argmax())
        tiles.append(pair(one, snapshots[one.snapshot], [step], 84))
    return tiles


def over_time(found: Sequence[Strongest], snapshots: Sequence[Snapshot]) -> list[np.ndarray]:
    """Deconvnet above the input, step after step that it saw, of the strongest activation alone."""
    one = found[0]
    strength = np.abs(one.picture).max((1, 2, 3))
    seen = np.flatnonzero(strength > LITTLE * strength.max())
    first, count = int(seen[0]), int(seen[-1] - seen[0]) + 1
    steps = [first + step for step in shown_steps(count, 8)]
    return [pair(one, snapshots[one.snapshot], steps, 84)]


def pair(one: Strongest, snapshot: Snapshot, steps: list[int], side: int) -> np.ndarray:
    top, left, bottom, right = one.box
    within = (slice(None), slice(None), slice(top, bottom), slice(left, right))
    above = gradients(one.picture[within], snapshot.kind)
    below = drawn(snapshot.pictures, snapshot.kind)[:, top:bottom, left:right]
    rows = [[resized(p[t], side, side) for t in steps] for p in (above, below)]
    return sheet(rows, gap=2)
