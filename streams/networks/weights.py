"""Where a network starts: ImageNet's weights, a file's, or none; and what that means for flow."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from storage.errors import UserError
from streams.networks.resnet import StreamNet
from streams.networks.torchvision_compat import models


def load_initial(net: StreamNet, depth: int, weights: str) -> str:
    """Fill `net` from `imagenet`, a file, or nothing; says what was done."""
    if weights == "none":
        return "from scratch"
    source = f"ImageNet weights of ResNet-{depth}" if weights == "imagenet" else weights
    state = imagenet_state(depth) if weights == "imagenet" else file_state(Path(weights))
    return f"from {source}: {fill(net, state, source)}"


def imagenet_state(depth: int) -> dict[str, Tensor]:
    """Torchvision's weights, downloaded once into torch's cache."""
    entry = models.get_model_weights(f"resnet{depth}").IMAGENET1K_V1
    try:
        state: dict[str, Tensor] = entry.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a bad hash a RuntimeError
        cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
        raise UserError(
            f"the ImageNet weights could not be downloaded from {entry.url} ({error}): fetch the "
            f"file elsewhere and pass --weights FILE (or put it at {cache}), or train from "
            "scratch with --weights none"
        ) from None
    return state


def file_state(path: Path) -> dict[str, Tensor]:
    """A state dict: torchvision's, or that of one of our checkpoints."""
    if not path.is_file():
        raise UserError(f"--weights {path} is not a file; it takes a file, `imagenet` or `none`")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, OSError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"--weights {path} cannot be read as PyTorch weights: {reason}") from None
    for key in ("model", "state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise UserError(f"--weights {path} holds no state dict (names and tensors)")
    return {name.removeprefix("module."): value for name, value in loaded.items()}


def fill(net: StreamNet, state: dict[str, Tensor], source: str) -> str:
    """Copy `state` into `net`: every shape must fit, but for the first layer's channels, which are
    adapted, and a classifier of other classes, which starts anew."""
    wanted = net.state_dict()
    given = {renamed(name): value for name, value in state.items()}
    first = "backbone.conv1.weight"
    said = []
    channels = wanted[first].shape[1]
    if first in given and given[first].shape[1] != channels:
        if given[first].ndim != 4 or given[first].shape[1] != 3:
            raise UserError(
                f"{source}: the first layer has {given[first].shape[1]} input channels, this "
                f"stream {channels}; give weights for RGB (3) or for {channels} (--length)"
            )
        given[first] = cross_modality(given[first], channels)
        said.append(f"first layer turned from 3 into {channels} channels")
    if any(
        name in given and given[name].shape != wanted[name].shape
        for name in ("head.weight", "head.bias")
    ):
        given = {name: value for name, value in given.items() if not name.startswith("head.")}
        said.append("new classifier")
    absent = [
        n
        for n in wanted
        if n.startswith("backbone.") and n not in given and not n.endswith("num_batches_tracked")
    ]
    if absent:
        raise UserError(
            f"{source} has no {absent[0].removeprefix('backbone.')} (and {len(absent) - 1} more): "
            "it is of another network; check --depth"
        )
    for name, value in given.items():
        if name not in wanted:
            if name.startswith("backbone."):
                raise UserError(
                    f"{source} holds {name.removeprefix('backbone.')}, which this network does not "
                    "have: it is of another depth; check --depth"
                )
        elif value.shape != wanted[name].shape:
            raise UserError(
                f"{source}: {name.removeprefix('backbone.')} has shape {tuple(value.shape)}, this "
                f"network needs {tuple(wanted[name].shape)}; check --depth"
            )
    net.load_state_dict({n: v for n, v in given.items() if n in wanted}, strict=False)
    return ", ".join(said) or "all layers"


def renamed(name: str) -> str:
    """Torchvision's name of a tensor -> ours."""
    if name.startswith(("backbone.", "head.", "consensus.")):
        return name
    return f"head.{name[3:]}" if name.startswith("fc.") else f"backbone.{name}"


def cross_modality(rgb: Tensor, channels: int) -> Tensor:
    """RGB filters (64, 3, 7, 7) -> (64, channels, 7, 7).

    TSN's initialisation: each channel gets the mean of the three. Scaled by 3 / channels, so that
    a stack whose channels are all the same picture excites a filter exactly as that picture, in
    grey, excites the RGB filter; the layers behind see the range they were trained on.
    """
    mean = rgb.mean(dim=1, keepdim=True)
    return (mean * (3 / channels)).expand(-1, channels, -1, -1).clone()
