"""The networks by name: who builds them, and what they look at. Plain values, so that reading a
command's help does not pay for torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from storage.errors import UserError

Setting = str | int | float | bool


@dataclass(frozen=True)
class Entry:
    """One network."""

    module: str
    """Of this room; its function `build(channels, classes, **settings)` gives a `Network`."""
    build: str = "build"
    settings: dict[str, Setting] = field(default_factory=dict)
    """Arguments that make it this network, of several that one function builds."""
    layout: Literal["stack", "clip"] = "stack"
    frames: int = 1
    """Steps in time that a clip network is published with; of a stack, frames of RGB."""
    stride: int = 1
    """Frames from one step to the next."""
    size: int = 224
    """Side of the published input, pixels."""
    weights: str = "none"
    """What --weights is unless told: imagenet where such weights can be had."""
    span: str = "imagenet"
    """Numbers that frames become, as its published weights expect them (`RGB.span`)."""
    unit: float = 0.0
    """Pixels of motion that become 1, as its published weights expect it (0: as everywhere)."""
    takes: tuple[str, ...] = ()
    """Which of frames and size its builder must be told."""
    streams: tuple[str, ...] = ("spatial", "temporal", "difference")
    """What `twostream train` trains it as."""


def clip(
    module: str,
    build: str,
    frames: int,
    size: int,
    *,
    stride: int = 1,
    span: str = "imagenet",
    unit: float = 0.0,
    weights: str = "none",
) -> Entry:
    takes = ("frames", "size")
    return Entry(
        module,
        build,
        layout="clip",
        frames=frames,
        stride=stride,
        size=size,
        weights=weights,
        takes=takes,
        span=span,
        unit=unit,
    )


def karpathy(kind: str, frames: int, *takes: str) -> Entry:
    return Entry(
        "karpathy",
        f"build_{kind}",
        layout="clip",
        frames=frames,
        size=170,
        takes=("size", *takes),
    )


NETWORKS: dict[str, Entry] = {
    **{
        f"resnet{depth}": Entry("resnets", settings={"depth": depth}, weights="imagenet")
        for depth in (18, 34, 50, 101, 152)
    },
    "inception-v1": Entry("inception_v1", weights="imagenet", span="symmetric"),
    "bn-inception": Entry("bn_inception"),
    "vgg16": Entry("vgg", weights="imagenet"),
    "vgg16-bn": Entry("vgg", settings={"norm": True}, weights="imagenet"),
    "vgg-m": Entry("caffe", "vgg_m", takes=("size",)),
    "caffenet": Entry("caffe", "caffenet", size=227, takes=("size",)),
    "lrcn-caffenet": Entry("caffe", "lrcn_caffenet", size=227, takes=("size",)),
    "attention56": Entry("attention", settings={"depth": 56}),
    "attention92": Entry("attention", settings={"depth": 92}),
    "karpathy-single": karpathy("single", 1),
    "karpathy-late": karpathy("late", 16, "frames"),
    "karpathy-early": karpathy("early", 10, "frames"),
    "karpathy-slow": karpathy("slow", 10),
    "c3d": clip("c3d", "build", 16, 112),
    "3d-convnet": clip("c3d", "build_3d_convnet", 16, 112),
    "fstcn": clip("fstcn", "build", 16, 204),
    "i3d": clip("i3d", "build", 64, 224, span="symmetric", unit=20.0),
    "i3d-resnet50": clip("i3d_resnet", "build", 32, 224, stride=2),
    "r3d18": clip("video_resnets", "build_r3d18", 16, 112, span="kinetics"),
    "mc3-18": clip("video_resnets", "build_mc3_18", 16, 112, span="kinetics"),
    "r2plus1d-18": clip("video_resnets", "build_r2plus1d_18", 16, 112, span="kinetics"),
    "s3d": clip("video_resnets", "build_s3d", 64, 224, span="kinetics"),
    "densenet3d-121": clip("t3d", "build_densenet3d121", 32, 224),
    "t3d121": clip("t3d", "build", 32, 224),
    "lrcn": clip("frame_lstm", "build_lrcn", 16, 227),
    "convnet-lstm": clip(
        "frame_lstm",
        "build_convnet_lstm",
        25,
        224,
        stride=5,
        span="symmetric",
        weights="imagenet",
    ),
    "motionnet": Entry("motionnet", frames=11, takes=("size",), streams=("motion",)),
    "hidden-two-stream": Entry(
        "hidden_two_stream", "build_named", frames=11, takes=("size",), streams=("spatial",)
    ),
}

FOREIGN = ("torchvision:", "timm:")
"""Beginnings of the names of networks that other packages define."""
SYMMETRIC = ("torchvision:googlenet", "torchvision:inception_v3")
"""torchvision's networks whose published weights want frames in -1 to 1 (`transform_input`)."""


def names() -> list[str]:
    """The names that `build_network` knows, and the patterns of those that other packages have."""
    return [*NETWORKS, *(f"{start}NAME" for start in FOREIGN)]


def entry_of(name: str) -> Entry:
    """Raise UserError for a name that is not known."""
    if name in NETWORKS:
        return NETWORKS[name]
    for start in FOREIGN:
        if name.startswith(start) and len(name) > len(start):
            span = "symmetric" if name in SYMMETRIC else "imagenet"
            settings: dict[str, Setting] = {"name": name}
            from streams.networks.foreign import own_size  # torch and more: for these names only

            return Entry(
                "foreign",
                "build_named",
                settings=settings,
                size=own_size(name),
                takes=("size",),
                span=span,
            )
    near = [known for known in NETWORKS if known[:3] == name[:3]]
    hint = f"did you mean {', '.join(near)}?" if near else "`twostream systems` lists them all"
    raise UserError(f"--network {name!r} is not known; {hint}")


def checked_name(name: str) -> str:
    entry_of(name)
    return name


def settings_from(texts: Sequence[str]) -> dict[str, Setting]:
    """NAME=VALUE -> values; whole numbers, numbers, true and false are read as such."""
    settings: dict[str, Setting] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"--extra {text!r} is not NAME=VALUE, as in width=0.5")
        settings[name] = _value(value)
    return settings


def _value(text: str) -> Setting:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
