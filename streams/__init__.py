"""The spatial and the temporal stream: inputs, networks, training and scoring."""

from typing import TYPE_CHECKING

from storage.lazy import exports

if TYPE_CHECKING:
    from streams.build import build_stream
    from streams.dataset import ClipDataset
    from streams.flow_clips import FlowClips
    from streams.inputs import RGB, FlowStack, RGBDifference
    from streams.recipes import Recipe, recipe
    from streams.resnet import StreamNet

__getattr__, __all__ = exports(
    __name__,
    {
        "ClipDataset": "dataset",
        "FlowClips": "flow_clips",
        "FlowStack": "inputs",
        "RGB": "inputs",
        "RGBDifference": "inputs",
        "Recipe": "recipes",
        "StreamNet": "resnet",
        "build_stream": "build",
        "recipe": "recipes",
    },
)
