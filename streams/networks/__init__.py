"""The networks, a file each, and what is common to them."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams.networks.build import build_entry, build_network, build_stream
    from streams.networks.flow_error import judge_flow
    from streams.networks.inflation import deflate, inflate
    from streams.networks.layouts import Look, in_our_names, layout_of, look_of
    from streams.networks.learnable import set_learnable
    from streams.networks.motionnet import MotionNet
    from streams.networks.network import Network, Stage
    from streams.networks.options import BatchNorm, ConsensusRule, NetworkOptions
    from streams.networks.photometric import motion_loss
    from streams.networks.stream_net import StreamNet, current_names, parameters_of
    from streams.networks.systems import NETWORK_SYSTEMS, System
    from streams.networks.table import NETWORKS, Entry, entry_of, names, settings_from
    from streams.networks.torchvision_compat import models, v2
    from streams.networks.transfer import SameVideo
    from streams.networks.weights import file_state, fill, load_initial

__getattr__, __all__ = exports(__name__, __file__)


class Networks(ModuleType):
    """This room, which is also a function: `streams.networks()` gives the networks' names."""

    def __call__(self) -> list[str]:
        from streams.networks.table import names

        return names()


# `streams.networks` is both the room that holds the networks and the public list of their names.
sys.modules[__name__].__class__ = Networks
