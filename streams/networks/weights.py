"""Where a network starts: ImageNet's weights, a file's, or none; and what that means for flow."""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from storage.errors import UserError
from streams.networks.across_time import brought_over
from streams.networks.initial import DIMENSIONS, Rule, adapted
from streams.networks.layouts import in_our_names
from streams.networks.network import Network
from streams.networks.torchvision_compat import models

log = logging.getLogger(__name__)

IMAGENET = {
    "inception-v1": "googlenet",
    "vgg16-bn": "vgg16_bn",
    "i3d": "googlenet",
    "i3d-resnet50": "resnet50",
}
"""Network -> torchvision's name, where it is another one; clip networks are inflated from it."""


def load_initial(net: Network, name: str, weights: str, rule: Rule = "rescaled") -> str:
    """Fill `net` from `imagenet`, a file, or nothing; says what was done."""
    if weights == "none":
        return "from scratch"
    imagenet = net.weights_of or name
    source = f"ImageNet weights of {imagenet}" if weights == "imagenet" else weights
    state = imagenet_state(imagenet) if weights == "imagenet" else file_state(Path(weights))
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
    """The tensors of a file by name, or those of a run (its folder). Nothing else in the file is
    brought to life."""
    if path.is_dir():
        path = run_weights(path)
    if not path.is_file():
        raise UserError(f"--weights {path} is not a file; it takes a file, `imagenet` or `none`")
    if path.suffix == ".safetensors":
        return tensors_file(path)
    try:
        with warnings.catch_warnings():
            # Plain pickles of other protocols than torch's: read like all, or refused below.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, OSError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"--weights {path} cannot be read as PyTorch weights: {reason.rstrip('.')}; only files "
            "of tensors are read, as torch.save(net.state_dict(), FILE) writes them"
        ) from None
    for key in ("model", "state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise UserError(f"--weights {path} holds no state dict (names and tensors)")
    return dict(loaded)


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


class Misfit(UserError):
    """Weights that do not fit a network, layer by layer."""

    def __init__(
        self, source: str, absent: list[str], left_over: list[str], reshaped: dict[str, str]
    ) -> None:
        self.absent, self.left_over, self.reshaped = absent, left_over, reshaped
        parts = [f"has no {few(absent)}"] * bool(absent)
        parts += [f"holds {few(left_over)}, which this network does not have"] * bool(left_over)
        if reshaped:
            first = next(iter(reshaped.values()))
            more = f" ({len(reshaped)} such: {few(list(reshaped))})" if len(reshaped) > 1 else ""
            parts += [first + more]
        hint = "it is of another network" if absent or left_over else "another size or other steps"
        super().__init__(f"{source} {'; '.join(parts)}: {hint}; check --network and --depth")
        log.debug("%s", "\n".join([*absent, *left_over, *reshaped.values()]))


def few(names: list[str], most: int = 3) -> str:
    """A few of many names, and how many more."""
    shown = ", ".join(name.removeprefix("backbone.") for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def fill(
    net: Network,
    state: Mapping[str, Tensor],
    source: str,
    rule: Rule = "rescaled",
    *,
    whole: bool = False,
) -> str:
    """Copy `state`, of any layout, into `net`; says what was done.

    Every shape must fit, but for kernels along time and the first layer's channels, which are
    adapted, and a classifier of other classes, which starts anew; `whole` takes none of these.
    """
    wanted = net.state_dict()
    given = in_our_names(state, net)
    notes: list[str] = []
    if not whole:
        given, notes = adapted_to(net, given, source, rule)
    check_fit(given, wanted, source, ("backbone.", "head.") if whole else ("backbone.",))
    net.load_state_dict({n: v for n, v in given.items() if n in wanted}, strict=False)
    return ", ".join(notes) or "all layers"


def adapted_to(
    net: Network, given: dict[str, Tensor], source: str, rule: Rule
) -> tuple[dict[str, Tensor], list[str]]:
    """As much of time and as many channels as `net` has, and no classifier of other classes."""
    wanted = net.state_dict()
    first = f"{net.first}.weight"
    channels = wanted[first].shape[1]
    given, notes = brought_over(net, given)
    if first in given and given[first].shape[1] != channels:
        if given[first].ndim not in DIMENSIONS or given[first].shape[1] != 3:
            raise UserError(
                f"{source}: the first layer has {given[first].shape[1]} input channels, this "
                f"stream {channels}; give weights for RGB (3) or for {channels} (--length)"
            )
        given = adapted(given, net.first, channels, rule)
        notes.append(f"first layer turned from 3 into {channels} channels")
    heads = [name for name in wanted if name.startswith("head.")]
    if any(name not in given or given[name].shape != wanted[name].shape for name in heads):
        given = {name: value for name, value in given.items() if not name.startswith("head.")}
        notes.append("new classifier")
    return given, notes


def check_fit(
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    source: str,
    parts: tuple[str, ...] = ("backbone.",),
) -> None:
    """Raise `Misfit` where a tensor of `parts` is missing, left over or of another shape."""
    absent = [
        name
        for name in wanted
        if name.startswith(parts) and name not in given and not name.endswith("num_batches_tracked")
    ]
    left_over = [name for name in given if name not in wanted]
    reshaped = {
        name: f"{name.removeprefix('backbone.')} has shape {tuple(value.shape)}, this network "
        f"needs {tuple(wanted[name].shape)}"
        for name, value in given.items()
        if name in wanted and value.shape != wanted[name].shape
    }
    if absent or left_over or reshaped:
        raise Misfit(source, absent, left_over, reshaped)
