"""What a network is given of a video at a moment."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams.inputs.contract import Input
    from streams.inputs.differences import RGBDifference
    from streams.inputs.flow import FlowStack
    from streams.inputs.frames import RGB, Span
    from streams.inputs.table import AnyInput, input_from, settings_of

__getattr__, __all__ = exports(__name__, __file__)
