"""TV-L1 in Numba, on any processor."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from flow.tvl1.cpu.engine import compute_into

__getattr__, __all__ = exports(__name__, __file__)
