"""Where two networks meet: which part of one and which part of the other."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import NamedTuple

from storage.errors import UserError
from streams.networks import Network, Stage

LAST = re.compile(r"^last(?:-(\d+))?$")


class Place(NamedTuple):
    """Names of parts of both backbones."""

    spatial: str
    temporal: str


def maps_of(network: Network) -> tuple[Stage, ...]:
    """The parts that give a map. Nothing is computed: the network is copied without its numbers."""
    return copy.deepcopy(network).to("meta").stages()


def find_places(spatial: Network, temporal: Network, names: Sequence[str]) -> list[Place]:
    """The places that `--stages` names, in the order in which the input meets them."""
    if not names:
        raise UserError(f"--stages names nothing; choose from {known(maps_of(spatial))}")
    maps = maps_of(spatial), maps_of(temporal)
    places = []
    for name in names:
        first, _, second = name.partition(":")
        places.append(
            Place(part(first, maps[0], "spatial"), part(second or first, maps[1], "temporal"))
        )
    order = [spatial.names.index(place.spatial) for place in places]
    places = [place for _, place in sorted(zip(order, places, strict=True))]
    later = [temporal.names.index(place.temporal) for place in places]
    if len(set(order)) < len(order) or sorted(set(later)) != later:
        raise UserError(
            f"--stages {' '.join(names)}: each place must lie behind the one before, in both "
            "networks"
        )
    return places


def part(name: str, maps: Sequence[Stage], tower: str) -> str:
    """`last`, `last-1`, ... or a part's own name -> the part's name."""
    if match := LAST.match(name):
        sizes = list(dict.fromkeys(stage.size[-2:] for stage in maps))
        back = int(match[1] or 0)
        if back < len(sizes):
            size = sizes[-1 - back]
            return [stage.name for stage in maps if stage.size[-2:] == size][-1]
    elif name in [stage.name for stage in maps]:
        return name
    raise UserError(
        f"--stages {name}: {name} is no stage to fuse after in the {tower} network; choose from "
        f"{known(maps)}"
    )


def known(maps: Sequence[Stage]) -> str:
    sizes = {stage.size[-2:] for stage in maps}
    symbols = ["last", *(f"last-{back}" for back in range(1, len(sizes)))]
    return ", ".join([*symbols, *(stage.name for stage in maps)])
