"""All systems of the canon in one table, and how many parameters each has here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from streams.networks import NETWORK_SYSTEMS, NETWORKS, System

if TYPE_CHECKING:
    from torch import nn

CLASSES = 400
SNIPPETS = "Beyond short snippets (Ng et al., CVPR 2015)"
TWO_STREAM = "Two-stream networks (Simonyan and Zisserman, NIPS 2014)"
ORDERLESS = "the order of what it pools"
QUO_VADIS = "Quo Vadis, action recognition? (Carreira and Zisserman, CVPR 2017)"

AROUND: tuple[System, ...] = (
    System(
        "late fusion, average",
        TWO_STREAM,
        2014,
        "fuse --method average",
        "which appearance goes with which motion in one picture; order beyond a stack",
    ),
    System(
        "late fusion, linear SVM",
        TWO_STREAM,
        2014,
        "fuse --method svm",
        "which appearance goes with which motion in one picture; order beyond a stack",
    ),
    System(
        "convolutional fusion",
        "Convolutional two-stream fusion (Feichtenhofer et al., CVPR 2016)",
        2016,
        "train fusion --join conv",
        "what lasts longer than its snapshots",
    ),
    System(
        "TSN consensus",
        "Temporal segment networks (Wang et al., ECCV 2016)",
        2016,
        "train spatial --network bn-inception --recipe tsn",
        "the order of its segments",
    ),
    System("lstm", SNIPPETS, 2015, "", "what lies between its steps"),
    System("gru", SNIPPETS, 2015, "", "what lies between its steps"),
    System("deep-lstm", SNIPPETS, 2015, "", "what lies between its steps"),
    System("conv-pooling", SNIPPETS, 2015, "", ORDERLESS),
    System(
        "lrcn",
        "Long-term recurrent convolutional networks (Donahue et al., CVPR 2015)",
        2015,
        "",
        "what lasts longer than 16 frames",
    ),
    System(
        "convnet-lstm",
        QUO_VADIS,
        2017,
        "",
        "what repeats every five frames, of which it sees one",
        9,
        "Quo Vadis, table 1",
    ),
    System("actionvlad", "ActionVLAD (Girdhar et al., CVPR 2017)", 2017, "", ORDERLESS),
    System(
        "temporal-attention",
        "Describing videos by exploiting temporal structure (Yao et al., ICCV 2015)",
        2015,
        "",
        ORDERLESS,
    ),
    System(
        "visual-attention",
        "Action recognition using visual attention (Sharma et al., 2015)",
        2015,
        "",
        "what lies between its steps",
    ),
    System(
        "improved trajectories + Fisher vectors",
        "Action recognition with improved trajectories (Wang and Schmid, ICCV 2013)",
        2013,
        "",
        "the order of its trajectories; colour",
    ),
)
"""What is no network by itself. Parameters are counted for features as in the paper."""

SYSTEMS = (*NETWORK_SYSTEMS, *AROUND)


def convnet_lstm() -> nn.Module:
    from streams.aggregators import ConvNetLSTM
    from streams.networks import build_network

    return ConvNetLSTM(build_network("inception-v1", "rgb", CLASSES).backbone, 1024, CLASSES)


def aggregator(name: str, width: int, **options: object) -> Callable[[], nn.Module]:
    """Builds an aggregator of the room for features of `width` numbers."""

    def build() -> nn.Module:
        import streams.aggregators as room

        net: nn.Module = getattr(room, name)(width, CLASSES, **options)
        return net

    return build


def actionvlad() -> nn.Module:
    import torch

    # It looks at its numbers while it is built, so they must be there.
    with torch.device("cpu"):
        return aggregator("ActionVLAD", 512)()


def lrcn() -> nn.Module:
    from streams.aggregators import LRCN

    return LRCN(CLASSES)


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "lstm": aggregator("Recurrent", 1024),
    "gru": aggregator("Recurrent", 1024, cell="gru"),
    "deep-lstm": aggregator("deep_lstm", 1024),
    "conv-pooling": aggregator("ConvPooling", 1024),
    "lrcn": lrcn,
    "convnet-lstm": convnet_lstm,
    "actionvlad": actionvlad,
    "temporal-attention": aggregator("TemporalAttention", 1024),
    "visual-attention": aggregator("VisualAttention", 1024),
}
"""Of those of AROUND that are modules by themselves."""


def parameters_here(name: str) -> int | None:
    """Trainable numbers for 400 classes, on RGB where it matters; None where the system is not one
    module. Built without memory for the numbers."""
    import torch

    from streams.networks import build_network, parameters_of

    with torch.device("meta"):
        if name in NETWORKS:
            return parameters_of(build_network(name, "rgb", CLASSES))
        return parameters_of(BUILDERS[name]()) if name in BUILDERS else None
