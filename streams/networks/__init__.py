"""The networks, a file each, and what is common to them."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams.networks.build import build_entry, build_network, build_stream
    from streams.networks.learnable import set_learnable
    from streams.networks.network import Network, Stage
    from streams.networks.options import BatchNorm, ConsensusRule, NetworkOptions
    from streams.networks.stream_net import StreamNet, current_names, parameters_of
    from streams.networks.table import NETWORKS, Entry, entry_of, networks
    from streams.networks.torchvision_compat import models, v2
    from streams.networks.weights import load_initial

__getattr__, __all__ = exports(__name__, __file__)
