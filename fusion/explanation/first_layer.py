"""The filters of a first layer as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion.explanation.drawing import filter_tiles, in_rows, sheet
from fusion.explanation.figures import Figure, Section, moving, still
from storage.errors import UserError
from streams.explanation import first_filters
from streams.inputs import AnyInput
from streams.networks import Network

MOST_FILTERS = 96
IN_ROWS = 16
"""Filters of several steps whose steps are drawn side by side."""


def first_section(network: Network, input_: AnyInput, of: str = "") -> Section:
    """The filters of the first layer; `of`: which tower, where there are several."""
    title = f"First layer of the {of} tower" if of else "First layer"
    name = f"first-layer-{of}" if of else "first-layer"
    try:
        filters = first_filters(network, input_).numpy()
    except UserError as error:
        return Section(title, f"Not drawn: {error}.")
    count, steps = filters.shape[:2]
    kept = filters[:MOST_FILTERS]
    layer = network.first.removeprefix("backbone.")
    what = "red, green and blue" if input_.kind != "flow" else "the motion it answers to"
    of = f"the first {len(kept)} of {count}" if count > len(kept) else f"all {count}"
    tiles = filter_tiles(kept, input_.kind, 40)
    figures: list[Figure] = []
    if steps == 1:
        picture = sheet(in_rows(list(tiles[:, 0]), 16))
        figures.append(still(name, picture, "filters of the first layer", f"{layer}: {of} filters"))
    else:
        pages = [sheet(in_rows(list(tiles[:, t]), 16)) for t in range(steps)]
        figures.append(
            moving(
                f"{name}-moving", pages, "filters of the first layer, step after step",
                f"{layer}: {of} filters over their {steps} steps, moving",
            )
        )  # fmt: skip
        size = np.linalg.norm(kept.reshape(len(kept), -1), axis=1)
        largest = np.sort(np.argsort(-size, kind="stable")[:IN_ROWS])
        picture = sheet([[tiles[k, t] for k in largest] for t in range(steps)])
        figures.append(
            still(
                name, picture, "filters by columns, their steps by rows",
                f"The {len(largest)} largest, a column each (filters {listed(largest)}); "
                "steps from top to bottom",
            )
        )  # fmt: skip
    note = (
        f"Each filter has its own scale: {what}, "
        + ("white is none." if input_.kind == "flow" else "grey is 0.")
        + " Filters that look like noise have learned little, or too long without weight decay."
    )
    return Section(title, note, figures=figures)


def listed(numbers: Sequence[int] | np.ndarray) -> str:
    return ", ".join(str(int(n)) for n in numbers)
