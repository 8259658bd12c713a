"""State dicts of other projects, in our names.

A layout is how a project calls the tensors of its networks, and how those networks look at a video.
Which one a file has is found by its names; what then has no place in the network keeps a name that
the network does not have, so that it is reported and not dropped. Left out in silence are only what
no answer depends on: torchvision's auxiliary classifiers, and mmaction2's means and deviations of
the input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from streams.networks import bn_inception, inception_v1, resnets, vgg
from streams.networks.foreign import Foreign
from streams.networks.i3d import from_pytorch_i3d
from streams.networks.network import Network
from streams.networks.video_resnets import from_torchvision

State = dict[str, Tensor]

VIDEO = {"r3d18": "r3d_18", "mc3-18": "mc3_18", "r2plus1d-18": "r2plus1d_18", "s3d": "s3d"}
"""Network -> torchvision's name of it."""
CODES = 127.5 / 20
"""Codes to a pixel of flow, where 255 codes stand for -20 to 20 pixels."""


@dataclass(frozen=True)
class Look:
    """How a project's networks look at a video, where it is not as the network's entry says."""

    span: str = ""
    """Numbers that frames become (`RGB.span`)."""
    unit: float = 0.0
    """Pixels of motion that become 1."""
    stride: int = 0
    """Frames from one step to the next."""


@dataclass(frozen=True)
class Layout:
    """Names of tensors."""

    recognise: Callable[[Mapping[str, Tensor]], bool]
    convert: Callable[[State, Network], State]
    """A state dict in these names -> `backbone...` and `head...`."""
    look: Callable[[str], Look] = lambda network: Look()
    """Of a network, by its name here."""


def prepared(state: Mapping[str, Tensor]) -> State:
    """In single precision, without the prefix that training on several GPUs leaves."""
    several = all(name.startswith("module.") for name in state)
    return {
        name.removeprefix("module.") if several else name: (
            value.float() if value.is_floating_point() else value
        )
        for name, value in state.items()
    }


def layout_of(state: Mapping[str, Tensor]) -> str:
    """The name of the first layout that knows these names."""
    own = prepared(state)
    return next(name for name, layout in LAYOUTS.items() if layout.recognise(own))


def look_of(layout: str, network: str) -> Look:
    return LAYOUTS[layout].look(network)


def in_our_names(state: Mapping[str, Tensor], net: Network) -> State:
    """Any layout's state dict -> `backbone...` and `head...`, in single precision."""
    return LAYOUTS[layout_of(state)].convert(prepared(state), net)


def renamed_all(state: State, rename: Callable[[str], str | None]) -> State:
    """Names that `rename` does not know stay, behind `backbone.`; None leaves a tensor out."""
    found = {}
    for name, value in state.items():
        try:
            other = rename(name)
        except (KeyError, IndexError, ValueError):
            other = f"backbone.{name}"
        if other is not None:
            found[other] = value
    return found


def is_ours(state: Mapping[str, Tensor]) -> bool:
    return any(name.startswith(("network.", "backbone.", "head.")) for name in state)


def from_ours(state: State, net: Network) -> State:
    """Those of a run, of a bare network, and of runs made before networks were parts."""
    own = {name.removeprefix("network."): value for name, value in state.items()}
    return {name: value for name, value in own.items() if not name.startswith("consensus.")}


def is_transfer(state: Mapping[str, Tensor]) -> bool:
    """Of a run of `twostream train transfer`."""
    return any(name.startswith("clip_network.") for name in state)


def from_transfer(state: State, net: Network) -> State:
    """Its clip network, without the classifier, which nothing has trained."""
    start = "clip_network."
    return {
        name.removeprefix(start): value
        for name, value in state.items()
        if name.startswith(start) and not name.startswith(f"{start}head.")
    }


def is_pytorch_i3d(state: Mapping[str, Tensor]) -> bool:
    return "Conv3d_1a_7x7.conv3d.weight" in state


def is_mmaction2(state: Mapping[str, Tensor]) -> bool:
    """Its layers are pairs of `conv` and `bn`, its classifier stands apart."""
    first = "layer1.0.conv1.conv.weight"
    return any(n.removeprefix("backbone.") == first or n.startswith("cls_head.") for n in state)


def mmaction2_name(name: str) -> str | None:
    """backbone.layer1.0.conv1.conv.weight -> backbone.layer1.0.conv1.weight; None for what is no
    part of the network."""
    if name.startswith("data_preprocessor."):
        return None
    if name.startswith("cls_head."):
        return re.sub(r"^cls_head\.fc_cls\.", "head.", name)
    name = name.removeprefix("backbone.")
    name = re.sub(r"\bconv(\d)\.conv\.", r"conv\1.", name)
    name = re.sub(r"\bconv(\d)\.bn\.", r"bn\1.", name)
    name = name.replace("downsample.conv.", "downsample.0.").replace(
        "downsample.bn.", "downsample.1."
    )
    return f"backbone.{name}"


def is_tsn_pytorch(state: Mapping[str, Tensor]) -> bool:
    return any(name.startswith(("base_model.", "new_fc.", "last_linear.")) for name in state) or (
        "conv1_7x7_s2.weight" in state
    )


def from_tsn_pytorch(state: State, net: Network) -> State:
    if net.name == "bn-inception":
        return bn_inception.from_tsn(state)
    inner = {name.removeprefix("base_model."): v for name, v in state.items()}
    heads = {f"{last}.{kind}": f"head.{kind}" for last in HEADS for kind in ("weight", "bias")}
    return {
        **from_library({n: v for n, v in inner.items() if n not in heads}, net),
        **{heads[name]: value for name, value in inner.items() if name in heads},
    }


HEADS = ("new_fc", "last_linear")
"""What tsn-pytorch, and Cadene's networks that it starts from, call the classifier."""


def tsn_look(network: str) -> Look:
    """Flow is divided by ImageNet's deviation, as `FLOW_UNIT` says; BN-Inception's is not."""
    return Look("caffe", unit=1 / CODES) if network == "bn-inception" else Look("imagenet")


def mmaction2_look(network: str) -> Look:
    """Flow is (code - 128) / 128."""
    return Look("imagenet", unit=128 / CODES)


def from_library(state: State, net: Network) -> State:
    """torchvision's names, or timm's."""
    if isinstance(net, Foreign):
        return {
            name: value
            for name, value in net.renamed(state).items()
            if not name.lower().startswith("backbone.aux")
        }
    if net.name in VIDEO:
        try:
            return from_torchvision(VIDEO[net.name], state)
        except (KeyError, IndexError, ValueError):  # of another network
            return renamed_all(state, resnets.renamed)
    renames: dict[str, Callable[[str], str | None]] = {
        "inception-v1": inception_v1.renamed,
        "i3d": inception_v1.renamed,
        "bn-inception": bn_inception.renamed,
        "vgg16": vgg.renamed,
        "vgg16-bn": lambda name: vgg.renamed(name, norm=True),
    }
    return renamed_all(state, renames.get(net.name, resnets.renamed))


def library_look(network: str) -> Look:
    """Video networks were trained on 15 frames a second of videos that mostly have 30."""
    return Look(stride=2) if network in VIDEO else Look()


LAYOUTS: dict[str, Layout] = {
    "mmaction2": Layout(
        is_mmaction2, lambda s, net: renamed_all(s, mmaction2_name), mmaction2_look
    ),
    "ours": Layout(is_ours, from_ours),
    "transfer": Layout(is_transfer, from_transfer),
    "pytorch-i3d": Layout(is_pytorch_i3d, lambda s, net: from_pytorch_i3d(s)),
    "tsn-pytorch": Layout(is_tsn_pytorch, from_tsn_pytorch, tsn_look),
    "torchvision": Layout(lambda state: True, from_library, library_look),
}
"""Layout by name, tried in this order; the last knows every name."""
