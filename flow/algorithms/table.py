"""The flow algorithms on offer: TV-L1, and two of OpenCV's.

    algorithm("dis", preset="fast").compute(frames)

An algorithm is a name and a frozen value of parameters. Its fingerprint goes into the store, so
that flow of one kind is never mistaken for flow of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flow.algorithms.methods import DIS, Farneback
from flow.tvl1 import ENGINES, TVL1, choose_engine, fingerprint_of, load_engine
from storage.errors import UserError

Parameters = TVL1 | DIS | Farneback


class Kind(NamedTuple):
    """What belongs to the name of an algorithm."""

    parameters: type[Parameters]
    engines: Mapping[str, str]
    """Who computes it: name -> module (see `flow.tvl1.Engine`)."""


OPENCV = {"opencv": "flow.algorithms.methods"}

ALGORITHMS = {
    "tvl1": Kind(TVL1, ENGINES),
    "dis": Kind(DIS, OPENCV),
    "farneback": Kind(Farneback, OPENCV),
}


@dataclass(frozen=True)
class Algorithm:
    """What `--flow` chooses."""

    name: str
    params: Parameters

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters as JSON values."""
        return asdict(self.params)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with the algorithm and any parameter."""
        return fingerprint_of(self.name, self.parameters)

    @property
    def engines(self) -> Mapping[str, str]:
        """Who computes it: name -> module."""
        return ALGORITHMS[self.name].engines

    def choose(self, engine: str = "auto") -> str:
        """The engine that a name stands for here; UserError where it does not work."""
        return choose_engine(engine, self.params, self.engines)

    def compute(
        self, frames: NDArray[np.uint8], engine: str = "auto", threads: int = 1
    ) -> NDArray[np.float32]:
        """Flow between each frame and the next: uint8 (N, H, W) -> float32 (N-1, 2, H, W)."""
        module = load_engine(self.choose(engine), self.engines)
        return module.compute(frames, self.params, threads)


def algorithm(name: str, params: TVL1 | None = None, **parameters: Any) -> Algorithm:
    """The algorithm of that name; `params` for TV-L1 as a value, or any by their names."""
    if name not in ALGORITHMS:
        raise UserError(f"no flow {name!r}; choose one of {', '.join(ALGORITHMS)}")
    kind = ALGORITHMS[name].parameters
    if params is not None:
        if not isinstance(params, kind):
            raise UserError(f"{name} takes {kind.__name__} parameters, not {params!r}")
        return Algorithm(name, params)
    known = [field.name for field in fields(kind)]
    for given in parameters:
        if given not in known:
            raise UserError(f"{name} has no parameter {given!r}; it has {', '.join(known)}")
    return Algorithm(name, kind(**parameters))
