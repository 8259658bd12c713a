"""TV-L1 optical flow: its definition, its engines, and the way from videos into a store."""

from typing import TYPE_CHECKING

from storage.lazy import exports

if TYPE_CHECKING:
    from flow.compute import compute_flow, engines
    from flow.params import TVL1

__getattr__, __all__ = exports(
    __name__,
    {
        "TVL1": "params",
        "compute_flow": "compute",
        "engines": "compute",
    },
)
