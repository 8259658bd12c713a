"""Every flow engine that can run here, for tests that hold all of them to the same cases.

An engine joins by one line in `CANDIDATES`. The GPU engine runs on a GPU where there is one, and
otherwise its CUDA sources run on the host (`host_device`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import opencv, reference
from flow.tvl1.cpu import engine as cpu
from flow.tvl1.params import DIALECTS, TVL1

Frames = NDArray[np.uint8]
Flow = NDArray[np.float32]


@dataclass(frozen=True)
class Engine:
    """An engine and a dialect that it speaks."""

    name: str
    dialect: str
    compute: Callable[[Frames, TVL1], Flow]

    def __str__(self) -> str:
        return f"{self.name}-{self.dialect}"

    @property
    def preset(self) -> TVL1:
        return TVL1.preset(self.dialect)


def gpu(frames: Frames, params: TVL1) -> Flow:
    from flow.tvl1.gpu import engine

    if engine.status() == "ok":
        return engine.compute(frames, params)
    from host_device import HostDevice

    return engine.compute(frames, params, device=HostDevice())


CANDIDATES = (
    *((reference.compute, "reference", dialect) for dialect in DIALECTS),
    *((cpu.compute, "cpu", dialect) for dialect in DIALECTS),
    (opencv.compute, "opencv", "opencv-cpu"),
)
if find_spec("host_device") is not None:
    CANDIDATES += tuple((gpu, "gpu", dialect) for dialect in DIALECTS)

ENGINES = tuple(Engine(name, dialect, compute) for compute, name, dialect in CANDIDATES)
FAST = tuple(engine for engine in ENGINES if engine.name != "reference")
"""All that are held to the reference."""
