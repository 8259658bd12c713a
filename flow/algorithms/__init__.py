"""TV-L1 among other flow algorithms, and flow without the camera's motion."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from flow.algorithms.camera import FrameFeatures, camera_motion
    from flow.algorithms.table import ALGORITHMS, Algorithm, algorithm
    from flow.algorithms.warped import warped_flow

__getattr__, __all__ = exports(__name__, __file__)
