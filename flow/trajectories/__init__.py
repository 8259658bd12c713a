"""Improved dense trajectories (Wang and Schmid 2011, 2013) through flow that is given."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from flow.trajectories.features import Tracks, improved_trajectories
    from flow.trajectories.params import TrajectoryParams

__getattr__, __all__ = exports(__name__, __file__)
