"""The spatial and the temporal stream: inputs, networks, training and scoring."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams import networks
    from streams.inputs import RGB, FlowStack, RGBDifference
    from streams.networks import StreamNet, build_network, build_stream
    from streams.samples import ClipDataset, FlowClips
    from streams.training import Recipe, recipe

__getattr__, __all__ = exports(__name__, __file__)
