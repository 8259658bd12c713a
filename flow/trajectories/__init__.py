"""Improved dense trajectories (Wang and Schmid 2011, 2013) through flow that is given."""

from typing import TYPE_CHECKING

from storage.lazy import exports

if TYPE_CHECKING:
    from flow.trajectories.features import Tracks, improved_trajectories
    from flow.trajectories.params import TrajectoryParams

__getattr__, __all__ = exports(
    __name__,
    {
        "TrajectoryParams": "params",
        "Tracks": "features",
        "improved_trajectories": "features",
    },
)
