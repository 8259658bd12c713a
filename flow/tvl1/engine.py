"""What an engine has to offer: every module that computes flow has these functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from storage.codecs import Quantizer

P = TypeVar("P")
Params = TypeVar("Params", contravariant=True)
ComputeCodes = Callable[[NDArray[np.uint8], P, Quantizer], NDArray[np.uint8]]
"""From frames (N, H, W) to codes (N-1, 2, H, W): `quantizer.quantize` of the flow."""


class Engine(Protocol[Params]):
    """A module that computes flow. It is imported when it is asked for."""

    @property
    def compute_codes(self) -> ComputeCodes[Params] | None:
        """For an engine that quantises by itself; None for the others."""

    def compute(
        self, frames: NDArray[np.uint8], params: Params, threads: int = 1
    ) -> NDArray[np.float32]:
        """uint8 (N, H, W) -> float32 (N-1, 2, H, W), x then y, in pixels.

        It checks the frames. Engines on a processor share the pairs out among `threads`.
        """

    def status(self, params: Params) -> str:
        """ "ok", or why it does not work here with these parameters."""

    def version(self) -> str:
        """The package behind it and its version, for the store."""

    def devices(self) -> list[str]:
        """The GPUs it can use, by their CUDA names; none for an engine on the processor."""
