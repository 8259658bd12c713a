"""TV-L1 optical flow: its definition, its engines, and the way from videos into a store."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from flow.tvl1 import TVL1, compute_flow, engines

__getattr__, __all__ = exports(__name__, __file__)
