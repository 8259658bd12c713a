"""Every flow engine that can run here, for tests that hold all of them to the same cases.

The GPU engine runs on a GPU where there is one, and otherwise its CUDA sources run on the host
(`host_device`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from host_device import HostDevice
from numpy.typing import NDArray

from flow.tvl1 import opencv, reference
from flow.tvl1.cpu import engine as cpu
from flow.tvl1.engine import Engine
from flow.tvl1.gpu import engine as gpu
from flow.tvl1.params import DIALECTS, TVL1

Frames = NDArray[np.uint8]
Flow = NDArray[np.float32]
MODULES: dict[str, Engine[TVL1]] = {
    "gpu": gpu,
    "cpu": cpu,
    "opencv": opencv,
    "reference": reference,
}
"""Typed, so that mypy holds the modules to the protocol."""


@dataclass(frozen=True)
class Case:
    """An engine and a dialect that it speaks."""

    name: str
    dialect: str
    compute: Callable[[Frames, TVL1], Flow]

    def __str__(self) -> str:
        return f"{self.name}-{self.dialect}"

    @property
    def preset(self) -> TVL1:
        return TVL1.preset(self.dialect)


def on_host(frames: Frames, params: TVL1) -> Flow:
    return gpu.compute(frames, params, device=HostDevice())


ENGINES = tuple(
    Case(name, dialect, on_host if name == "gpu" and gpu.status() != "ok" else module.compute)
    for name, module in MODULES.items()
    for dialect in DIALECTS
    if (name, dialect) != ("opencv", "opencv-cuda")
)
FAST = tuple(engine for engine in ENGINES if engine.name != "reference")
"""All that are held to the reference."""
