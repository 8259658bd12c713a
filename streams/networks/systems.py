"""The canon's networks: who published them, what trains them here, what they cannot know.

Plain values for `twostream systems`. Parameters are published ones; those of the networks here are
counted when they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """One system: a network, what comes after one, or a fusion."""

    name: str
    paper: str
    year: int
    train: str
    """Words after `twostream` that train it, without paths."""
    blind: str
    """What it cannot know, however well it is trained."""
    published: float | None = None
    """Parameters in millions, as published."""
    source: str = ""
    """Who says so, and of what."""
    first: str = ""
    """Words after `twostream` of what must be done before, such as writing features."""


FRAME = "order and motion on RGB; on flow, appearance and what lies outside its stack"
SHORT = "what lasts longer than its clip"
RESNET = "Deep residual learning (He et al., CVPR 2016)"
CLOSER = "A closer look at spatiotemporal convolutions (Tran et al., CVPR 2018)"
KARPATHY = "Large-scale video classification (Karpathy et al., CVPR 2014)"
ATTENTION = "Residual attention network (Wang et al., CVPR 2017)"
QUO_VADIS = "Quo Vadis, action recognition? (Carreira and Zisserman, CVPR 2017)"
T3D = "Temporal 3D ConvNets (Diba et al., 2017)"
LRCN = "Long-term recurrent convolutional networks (Donahue et al., CVPR 2015)"
HIDDEN = "Hidden two-stream networks (Zhu et al., ACCV 2018)"
TORCHVISION = "torchvision, ImageNet's 1000 classes"
MODEL_ZOO = "torchvision, Kinetics-400"


def single_network(
    name: str,
    paper: str,
    year: int,
    blind: str = FRAME,
    published: float | None = None,
    source: str = "",
    stream: str = "spatial",
) -> System:
    return System(name, paper, year, f"train {stream} --network {name}", blind, published, source)


NETWORK_SYSTEMS: tuple[System, ...] = (
    single_network("resnet18", RESNET, 2016, FRAME, 11.689512, TORCHVISION),
    single_network("resnet34", RESNET, 2016, FRAME, 21.797672, TORCHVISION),
    single_network("resnet50", RESNET, 2016, FRAME, 25.557032, TORCHVISION),
    single_network("resnet101", RESNET, 2016, FRAME, 44.549160, TORCHVISION),
    single_network("resnet152", RESNET, 2016, FRAME, 60.192808, TORCHVISION),
    single_network(
        "inception-v1",
        "Going deeper with convolutions (Szegedy et al., CVPR 2015)",
        2015,
        FRAME,
        12,
        "Quo Vadis, table 1: both streams",
    ),
    single_network("bn-inception", "Temporal segment networks (Wang et al., ECCV 2016)", 2016),
    single_network(
        "vgg16",
        "Very deep convolutional networks (Simonyan and Zisserman, ICLR 2015)",
        2015,
        FRAME,
        138,
        "the paper, table 2: ImageNet's 1000 classes",
    ),
    single_network(
        "vgg16-bn",
        "Very deep convolutional networks (Simonyan and Zisserman, ICLR 2015)",
        2015,
        FRAME,
        138.365992,
        TORCHVISION,
    ),
    single_network("vgg-m", "Two-stream networks (Simonyan and Zisserman, NIPS 2014)", 2014),
    single_network("caffenet", "ImageNet classification (Krizhevsky et al., NIPS 2012)", 2012),
    single_network("lrcn-caffenet", LRCN, 2015),
    single_network(
        "attention56", ATTENTION, 2017, FRAME, 31.9, "the paper: ImageNet's 1000 classes"
    ),
    single_network(
        "attention92", ATTENTION, 2017, FRAME, 51.3, "the paper: ImageNet's 1000 classes"
    ),
    single_network("karpathy-single", KARPATHY, 2014),
    single_network(
        "karpathy-late", KARPATHY, 2014, "what repeats every 15 frames; all between its two"
    ),
    single_network("karpathy-early", KARPATHY, 2014, SHORT),
    single_network("karpathy-slow", KARPATHY, 2014, SHORT),
    single_network(
        "c3d",
        "Learning spatiotemporal features with 3D networks (Tran et al., ICCV 2015)",
        2015,
        SHORT,
    ),
    single_network("3d-convnet", QUO_VADIS, 2017, SHORT, 79, "Quo Vadis, table 1"),
    single_network(
        "fstcn", "Factorized spatio-temporal networks (Sun et al., ICCV 2015)", 2015, SHORT
    ),
    single_network("i3d", QUO_VADIS, 2017, SHORT, 25, "Quo Vadis, table 1: both streams"),
    single_network(
        "i3d-resnet50",
        "Non-local neural networks (Wang et al., CVPR 2018): its I3D baseline, as mmaction2 has it",
        2018,
        SHORT,
    ),
    single_network("r3d18", CLOSER, 2018, SHORT, 33.371472, MODEL_ZOO),
    single_network("mc3-18", CLOSER, 2018, SHORT, 11.695440, MODEL_ZOO),
    single_network("r2plus1d-18", CLOSER, 2018, SHORT, 31.505325, MODEL_ZOO),
    single_network(
        "s3d",
        "Rethinking spatiotemporal feature learning (Xie et al., ECCV 2018)",
        2018,
        SHORT,
        8.320048,
        MODEL_ZOO,
    ),
    single_network("densenet3d-121", T3D, 2017, SHORT),
    single_network("t3d121", T3D, 2017, SHORT),
    single_network("lrcn", LRCN, 2015, "what lasts longer than 16 frames"),
    single_network(
        "convnet-lstm",
        QUO_VADIS,
        2017,
        "what repeats every five frames, of which it sees one",
        9,
        "Quo Vadis, table 1",
    ),
    single_network(
        "motionnet",
        HIDDEN,
        2018,
        "classes: it states motion alone",
        stream="motion",
    ),
    single_network(
        "hidden-two-stream", HIDDEN, 2018, "appearance but through its motion; " + SHORT
    ),
)
