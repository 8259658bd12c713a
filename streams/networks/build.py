"""Building networks by name, for scripts and notebooks."""

from __future__ import annotations

from importlib import import_module
from typing import Literal

from storage.errors import UserError
from streams.networks.network import Network
from streams.networks.options import BatchNorm, ConsensusRule
from streams.networks.stream_net import StreamNet
from streams.networks.table import Entry, Setting, entry_of
from streams.networks.weights import load_initial

STEP_CHANNELS = {"rgb": 3, "flow": 2, "difference": 3}
"""Modality -> channels of one step in time."""
Modality = Literal["rgb", "flow", "difference"]
LENGTH = {"rgb": 1, "flow": 10, "difference": 5}
"""Modality -> steps that a network for pictures gets side by side, unless told otherwise."""


def build_network(
    name: str,
    input: Modality = "rgb",
    classes: int = 400,
    *,
    length: int | None = None,
    size: int | None = None,
    weights: str = "none",
    **options: Setting,
) -> Network:
    """A network of `networks()`, ready to train or to score.

    A network for pictures takes float (N, C, H, W), C = 3 for RGB, 2 `length` for flow, 3 `length`
    for differences. A network for clips takes (N, c, T, H, W), c = 3 or 2 and T = `length`. It
    gives logits (N, classes). Without `length` and `size` they are as published. `weights` is
    `none`, `imagenet` or a file; `options` are settings of the network's own.
    """
    if input not in STEP_CHANNELS:
        raise UserError(f"input {input!r} is not one of {', '.join(STEP_CHANNELS)}")
    entry = entry_of(name)
    steps = length or (entry.frames if entry.layout == "clip" or input == "rgb" else LENGTH[input])
    net = build_entry(entry, name, STEP_CHANNELS[input], steps, classes, size, options)
    load_initial(net, name, weights)
    return net


def build_entry(
    entry: Entry,
    name: str,
    step_channels: int,
    steps: int,
    classes: int,
    size: int | None,
    options: dict[str, Setting],
) -> Network:
    """The network with random weights, for an input of so many steps in time."""
    if steps < 1 or classes < 1:
        raise UserError(f"{name} takes at least one step in time and one class")
    check_free(entry, name, options)
    told: dict[str, Setting] = {"frames": steps, "size": size or entry.size}
    arguments = {key: told[key] for key in entry.takes} | entry.settings | options
    channels = step_channels * (1 if entry.layout == "clip" else steps)
    builder = getattr(import_module(f"streams.networks.{entry.module}"), entry.build)
    try:
        net: Network = builder(channels, classes, **arguments)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise UserError(f"--network {name}: {str(error).split('()')[-1].strip()}") from None
    net.name = name
    return net


def check_free(entry: Entry, name: str, options: dict[str, Setting]) -> None:
    """Raise UserError for an option that the name, the length or the size has decided."""
    for key, value in options.items():
        if key in entry.settings:
            raise UserError(
                f"--network {name} is the one with {key}={entry.settings[key]}, and --extra "
                f"{key}={value} makes it another; change --network"
            )
        if key in entry.takes:
            option = {"frames": "--length", "size": "--size"}[key]
            raise UserError(f"--extra {key}={value}: {key} of {name} is what {option} says")


def build_stream(
    kind: Literal["spatial", "temporal", "difference"] = "spatial",
    *,
    classes: int,
    depth: int = 18,
    network: str = "",
    length: int | None = None,
    size: int | None = None,
    weights: str = "none",
    dropout: float = 0.5,
    consensus: ConsensusRule = "average",
    segments: int = 1,
    batch_norm: BatchNorm = "train",
) -> StreamNet:
    """A stream's network, ready to train: float (B, K, C, H, W) -> (B, classes).

    `length` is L, the fields of a flow stack (2 L channels), the differences (3 L channels) or
    the frames of a clip; `weights` is `imagenet`, a file, or `none`.
    """
    modalities: dict[str, Modality] = {
        "spatial": "rgb",
        "temporal": "flow",
        "difference": "difference",
    }
    if kind not in modalities:
        raise UserError(f"stream {kind!r} is not one of {', '.join(modalities)}")
    name = network or f"resnet{depth}"
    if entry_of(name).layout == "stack":
        length = None if kind == "spatial" else length or 10
    net = build_network(
        name,
        modalities[kind],
        classes,
        length=length,
        size=size,
        weights=weights,
        dropout=dropout,
    )
    return StreamNet(net, consensus=consensus, segments=segments, batch_norm=batch_norm)
