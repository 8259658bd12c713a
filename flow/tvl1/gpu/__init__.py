"""TV-L1 in CUDA C, through CuPy."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from flow.tvl1.gpu.batch import Batch
    from flow.tvl1.gpu.cupy_device import open_device
    from flow.tvl1.gpu.device import Device, Scalar, Stream
    from flow.tvl1.gpu.kernel_source import source
    from flow.tvl1.gpu.layout import CHAINS, BatchLayout
    from flow.tvl1.gpu.stream import FlowQueue

__getattr__, __all__ = exports(__name__, __file__)
