"""All systems of the canon in one table, and how many parameters each has here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.networks import NETWORK_SYSTEMS, NETWORKS, System
from streams.sequences import SEQUENCES

if TYPE_CHECKING:
    from torch import nn

CLASSES = 400
FRAMES = 120
"""Steps of a sequence, where a network must know."""
SNIPPETS = "Beyond short snippets (Ng et al., CVPR 2015)"
PAPERS = {system.name: system.paper for system in NETWORK_SYSTEMS}
TWO_STREAM = PAPERS["vgg-m"]
SEGMENTS = "Temporal segment networks (Wang et al., ECCV 2016)"
LATE = "which appearance goes with which motion in one picture; order beyond a stack"
ORDERLESS = "the order of what it pools"
STEPS = "what lies between its steps"


def on_features(name: str, paper: str, year: int, blind: str) -> System:
    """A network over the features of another."""
    return System(name, paper, year, f"train sequence --network {name}", blind, first="features")


AROUND: tuple[System, ...] = (
    System("late fusion, average", TWO_STREAM, 2014, "fuse --method average", LATE),
    System("late fusion, linear SVM", TWO_STREAM, 2014, "fuse --method svm", LATE),
    System(
        "convolutional fusion",
        "Convolutional two-stream fusion (Feichtenhofer et al., CVPR 2016)",
        2016,
        "train fusion --join conv",
        "what lasts longer than its snapshots",
    ),
    System(
        "3d-fused",
        PAPERS["i3d"],
        2017,
        "train fusion --join 3d-fused",
        "what lasts longer than its snapshots",
        39,
        "Quo Vadis, table 1",
    ),
    System(
        "TSN consensus",
        SEGMENTS,
        2016,
        "train spatial --network bn-inception --recipe tsn",
        "the order of its segments",
    ),
    on_features("mean", SEGMENTS, 2016, ORDERLESS),
    on_features("max", SNIPPETS, 2015, ORDERLESS),
    on_features("learned", SEGMENTS, 2016, "the order within each of its segments"),
    on_features("lstm", "Long short-term memory (Hochreiter and Schmidhuber, 1997)", 1997, STEPS),
    on_features("gru", "RNN encoder-decoder (Cho et al., EMNLP 2014)", 2014, STEPS),
    on_features("deep-lstm", SNIPPETS, 2015, STEPS),
    on_features("conv-pooling", SNIPPETS, 2015, ORDERLESS),
    on_features("actionvlad", "ActionVLAD (Girdhar et al., CVPR 2017)", 2017, ORDERLESS),
    on_features(
        "temporal-attention",
        "Describing videos by exploiting temporal structure (Yao et al., ICCV 2015)",
        2015,
        ORDERLESS,
    ),
    on_features(
        "visual-attention",
        "Action recognition using visual attention (Sharma et al., 2015)",
        2015,
        STEPS,
    ),
    System(
        "transfer from pictures",
        PAPERS["t3d121"],
        2017,
        "train transfer --network t3d121",
        "classes: it learns whether a frame and a clip are of one video",
    ),
    System(
        "C3D + SVM",
        PAPERS["c3d"],
        2015,
        "svm",
        "the order of its clips",
        first="features --at fc6",
    ),
    System(
        "improved trajectories + Fisher vectors",
        "Action recognition with improved trajectories (Wang and Schmid, ICCV 2013)",
        2013,
        "svm",
        "the order of its trajectories; colour",
        first="features idt",
    ),
)
"""What is no network for pixels. `lrcn` and `convnet-lstm` are: on features they are what stands
behind their frame network."""

SYSTEMS = (*NETWORK_SYSTEMS, *AROUND)

A_STEP = {
    "conv-pooling": (1024, 7, 7),
    "visual-attention": (1024, 7, 7),
    "actionvlad": (512, 14, 14),
}
"""What the papers give a network at each step; to all others GoogLeNet's 1024 numbers."""


def sequence_module(name: str) -> nn.Module:
    """A network of `train sequence`, as that command builds it."""
    import torch

    from streams.sequences import sequence_recipe

    shape = A_STEP.get(name, (1024,))
    options = sequence_recipe("homework", name).net
    # ActionVLAD looks at its numbers while it is built, so they must be there.
    with torch.device("cpu" if name == "actionvlad" else "meta"):
        return options.build(shape, CLASSES, frames=FRAMES, widths=[shape[0]])


def fused_module() -> nn.Module:
    """3D-Fused of two Inception-v1, one frame and ten fields of flow."""
    from fusion.network import ConvFusionNet
    from streams.networks import StreamNet, build_network

    spatial = StreamNet(build_network("inception-v1", "rgb", CLASSES))
    temporal = StreamNet(build_network("inception-v1", "flow", CLASSES, length=10))
    return ConvFusionNet(spatial, temporal, join="3d-fused", stages=("last",))


def parameters_here(name: str) -> int | None:
    """Trainable numbers for 400 classes, on RGB where it matters; None where the system is not one
    module. Built without memory for the numbers."""
    import torch

    from streams.networks import build_network, parameters_of

    with torch.device("meta"):
        if name in NETWORKS:
            return parameters_of(build_network(name, "rgb", CLASSES))
        if name in SEQUENCES:
            return parameters_of(sequence_module(name))
        return parameters_of(fused_module()) if name == "3d-fused" else None
