"""The networks, a file each, and what is common to them."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams.networks.build import build_stream
    from streams.networks.options import BatchNorm, ConsensusRule, NetworkOptions
    from streams.networks.resnet import StreamNet, parameters_of
    from streams.networks.torchvision_compat import models, v2
    from streams.networks.weights import load_initial

__getattr__, __all__ = exports(__name__, __file__)
