"""From a video of one's own to what happens in it."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from scripts.prediction.prediction import Looking, Prediction, plan_passes, predict
    from scripts.prediction.trained import OWN_OPTIONS, Trained, open_runs

__getattr__, __all__ = exports(__name__, __file__)
