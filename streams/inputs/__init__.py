"""What a network is given of a video at a moment."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams.inputs.inputs import RGB, FlowStack, Input, RGBDifference, input_from, settings_of

__getattr__, __all__ = exports(__name__, __file__)
