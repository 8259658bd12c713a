"""Where a network starts: ImageNet's weights, a file's, or none; and what that means for flow."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from storage.errors import UserError
from streams.networks.initial import Rule, adapted
from streams.networks.network import Network
from streams.networks.torchvision_compat import models

IMAGENET = {"inception-v1": "googlenet", "vgg16-bn": "vgg16_bn"}
"""Network -> torchvision's name, where it is another one and the weights fit."""


def load_initial(net: Network, name: str, weights: str, rule: Rule = "rescaled") -> str:
    """Fill `net` from `imagenet`, a file, or nothing; says what was done."""
    if weights == "none":
        return "from scratch"
    source = f"ImageNet weights of {name}" if weights == "imagenet" else weights
    state = imagenet_state(name) if weights == "imagenet" else file_state(Path(weights))
    done = net.start_from(state, source) or fill(net, state, source, rule)
    return f"from {source}: {done}"


def imagenet_state(name: str) -> dict[str, Tensor]:
    """Torchvision's weights, downloaded once into torch's cache."""
    model = IMAGENET.get(name, name.removeprefix("torchvision:"))
    try:
        entry = models.get_model_weights(model).IMAGENET1K_V1
    except (ValueError, AttributeError):
        raise UserError(
            f"torchvision has no ImageNet weights for {name}; give --weights FILE, or --weights "
            "none to train from scratch"
        ) from None
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
    """A state dict: torchvision's, or that of a run (its folder, or a checkpoint in it)."""
    if path.is_dir():
        path = run_weights(path)
    if not path.is_file():
        raise UserError(f"--weights {path} is not a file; it takes a file, `imagenet` or `none`")
    if path.suffix == ".safetensors":
        return tensors_file(path)
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


def run_weights(folder: Path) -> Path:
    """The best weights of a run's folder."""
    for name in ("best.safetensors", "best.pt"):
        if (folder / "checkpoints" / name).is_file():
            return folder / "checkpoints" / name
    raise UserError(f"--weights {folder} is a folder without a run's checkpoints/best.safetensors")


def tensors_file(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"--weights {path} cannot be read as safetensors: {error}") from None


def fill(net: Network, state: dict[str, Tensor], source: str, rule: Rule = "rescaled") -> str:
    """Copy `state` into `net`: every shape must fit, but for the first layer's channels, which are
    adapted, and a classifier of other classes, which starts anew."""
    wanted = net.state_dict()
    given = {renamed(name): value for name, value in state.items()}
    first = f"{net.first}.weight"
    notes = []
    channels = wanted[first].shape[1]
    if first in given and given[first].shape[1] != channels:
        if given[first].ndim not in (4, 5) or given[first].shape[1] != 3:
            raise UserError(
                f"{source}: the first layer has {given[first].shape[1]} input channels, this "
                f"stream {channels}; give weights for RGB (3) or for {channels} (--length)"
            )
        given = adapted(given, net.first, channels, rule)
        notes.append(f"first layer turned from 3 into {channels} channels")
    if any(
        name in given and given[name].shape != wanted[name].shape
        for name in wanted
        if name.startswith("head.")
    ):
        given = {name: value for name, value in given.items() if not name.startswith("head.")}
        notes.append("new classifier")
    check_fit(given, wanted, source)
    net.load_state_dict({n: v for n, v in given.items() if n in wanted}, strict=False)
    return ", ".join(notes) or "all layers"


def check_fit(given: dict[str, Tensor], wanted: dict[str, Tensor], source: str) -> None:
    """Raise UserError at the first tensor of the backbone that is missing, left over or of another
    shape."""
    absent = [
        n
        for n in wanted
        if n.startswith("backbone.") and n not in given and not n.endswith("num_batches_tracked")
    ]
    if absent:
        raise UserError(
            f"{source} has no {absent[0].removeprefix('backbone.')} (and {len(absent) - 1} more): "
            "it is of another network; check --network and --depth"
        )
    for name, value in given.items():
        short = name.removeprefix("backbone.")
        if name not in wanted:
            if name.startswith("backbone."):
                raise UserError(
                    f"{source} holds {short}, which this network does not have: it is of another "
                    "network; check --network and --depth"
                )
        elif value.shape != wanted[name].shape:
            raise UserError(
                f"{source}: {short} has shape {tuple(value.shape)}, this network needs "
                f"{tuple(wanted[name].shape)}; check --network and --depth"
            )


def renamed(name: str) -> str:
    """A run's or torchvision's name of a tensor -> ours."""
    name = name.removeprefix("network.")
    if name.startswith(("backbone.", "head.", "consensus.")):
        return name
    return f"head.{name[3:]}" if name.startswith("fc.") else f"backbone.{name}"
