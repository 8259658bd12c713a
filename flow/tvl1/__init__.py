"""The definition of TV-L1, and the engines that compute it."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from flow.tvl1.compute import ENGINES, choose_engine, compute_flow, engines, load_engine
    from flow.tvl1.engine import Engine, EngineFault, EngineQueue, FlowRequest, flow_through
    from flow.tvl1.frames import checked_frames
    from flow.tvl1.pairs import Pair, pairwise
    from flow.tvl1.params import DIALECTS, MIN_SIDE, TVL1, fingerprint_of

__getattr__, __all__ = exports(__name__, __file__)
